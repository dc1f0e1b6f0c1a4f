/**
 * The frames of zstd data, found by their headers and blocks: nothing is unpacked. Some versions of Node give what there is of
 * data that is cut off, and stop after the first frame; others allocate the window that a frame asks for.
 */
export interface ZstdFrame {
  readonly bytes: Uint8Array;
  /** Bytes that its reader has to allocate. */
  readonly windowBytes: number;
}

/** Each costs a tenth of a millisecond. Celery writes one. */
const MAX_FRAMES = 1000;
const FRAME = 0xfd2fb528;
/** Its last four bits are free. */
const SKIPPABLE = 0x184d2a5;

/** Those with data. Throws when the data is not zstd, or not whole. */
export function zstdFrames(bytes: Uint8Array): readonly ZstdFrame[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: ZstdFrame[] = [];
  let at = 0;
  let count = 0;
  if (bytes.byteLength === 0) throw new Error("it is empty");
  while (at < bytes.byteLength) {
    count += 1;
    if (count > MAX_FRAMES) throw new Error(`it has more than ${MAX_FRAMES} frames`);
    const start = at;
    const magic = view.getUint32(at, true);
    if (magic >>> 4 === SKIPPABLE) at += 8 + view.getUint32(at + 4, true);
    else if (magic === FRAME) {
      const { end, windowBytes } = passFrame(view, at);
      frames.push({ bytes: bytes.subarray(start, end), windowBytes });
      at = end;
    } else throw new Error("a frame does not begin with zstd's mark");
  }
  if (at > bytes.byteLength) throw new Error("it is cut off");
  return frames;
}

function passFrame(view: DataView, start: number): { readonly end: number; readonly windowBytes: number } {
  const flags = view.getUint8(start + 4);
  const single = (flags >> 5) & 1;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0;
  const sizeCode = flags >> 6;
  const sizeBytes = sizeCode === 0 ? single : 1 << sizeCode;
  const sizeAt = start + 6 - single + dictionaryBytes;
  let windowBytes: number;
  if (single === 1) {
    windowBytes = contentSize(view, sizeAt, sizeBytes);
  } else {
    const descriptor = view.getUint8(start + 5);
    const base = 2 ** (10 + (descriptor >> 3));
    windowBytes = base + (base / 8) * (descriptor & 7);
  }
  let at = sizeAt + sizeBytes;
  for (let last = 0; last === 0; ) {
    const head = view.getUint16(at, true) + view.getUint8(at + 2) * 65536;
    last = head & 1;
    const isRle = ((head >> 1) & 3) === 1;
    at += 3 + (isRle ? 1 : head >>> 3);
  }
  return { end: at + ((flags >> 2) & 1) * 4, windowBytes };
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
