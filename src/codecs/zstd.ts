/** zstd where Node has none: read with fzstd. Frames that ask for a large window are refused before it allocates one. */
import type * as zstdPackage from "fzstd";
import { importPeer } from "../base/import-peer.ts";
import { OutputTooLarge, provideDecompressor } from "../protocol/compression.ts";
import { Sink } from "./sink.ts";

type Fzstd = typeof zstdPackage;

/** Windows up to this size are allocated whatever the output may be: what zstd's ordinary levels use. */
const ORDINARY_WINDOW_BYTES = 8 * 1024 * 1024;

/** Lets `application/zstd` be read. Nothing is imported where Node can do it. */
export async function loadZstd(): Promise<void> {
  const { Decompress } = await importPeer<Fzstd>("fzstd", "zstd on this Node", () => import("fzstd"));
  provideDecompressor("zstd", (bytes, maxBytes) => {
    checkWindows(bytes, Math.max(maxBytes, ORDINARY_WINDOW_BYTES));
    const sink = new Sink(maxBytes);
    const stream = new Decompress((chunk) => sink.add(chunk));
    stream.push(bytes, true);
    return sink.bytes();
  });
}

/** Walks the frames' headers and blocks. */
function checkWindows(bytes: Uint8Array, maxWindow: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  if (bytes.byteLength === 0) throw new Error("it is empty");
  while (at < bytes.byteLength) {
    const magic = view.getUint32(at, true);
    if (magic >>> 4 === 0x184d2a5) at += 8 + view.getUint32(at + 4, true);
    else if (magic === 0xfd2fb528) at = passFrame(view, at, maxWindow);
    else throw new Error("a frame does not begin with zstd's mark");
  }
}

/** Position after a frame. */
function passFrame(view: DataView, start: number, maxWindow: number): number {
  const flags = view.getUint8(start + 4);
  const single = (flags >> 5) & 1;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0;
  const sizeCode = flags >> 6;
  const sizeBytes = sizeCode === 0 ? single : 1 << sizeCode;
  const sizeAt = start + 6 - single + dictionaryBytes;
  let window: number;
  if (single === 1) {
    window = contentSize(view, sizeAt, sizeBytes);
  } else {
    const descriptor = view.getUint8(start + 5);
    const base = 2 ** (10 + (descriptor >> 3));
    window = base + (base / 8) * (descriptor & 7);
  }
  if (window > maxWindow) throw new OutputTooLarge();
  let at = sizeAt + sizeBytes;
  for (let last = 0; last === 0; ) {
    const head = view.getUint16(at, true) + view.getUint8(at + 2) * 65536;
    last = head & 1;
    const isRle = ((head >> 1) & 3) === 1;
    at += 3 + (isRle ? 1 : head >>> 3);
  }
  return at + ((flags >> 2) & 1) * 4;
}

function contentSize(view: DataView, at: number, bytes: number): number {
  switch (bytes) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true) + 256;
    case 4:
      return view.getUint32(at, true);
    default:
      return Number(view.getBigUint64(at, true));
  }
}
