/** zstd where Node has none: read with fzstd. */
import type * as zstdPackage from "fzstd";
import { importPeer } from "../base/import-peer.ts";
import { checkedFrames, provideDecompressor } from "../protocol/compression.ts";
import { Sink } from "./sink.ts";

type Fzstd = typeof zstdPackage;

/** Lets `application/zstd` be read. Nothing is imported where Node can do it. */
export async function loadZstd(): Promise<void> {
  const { Decompress } = await importPeer<Fzstd>("fzstd", "zstd on this Node", () => import("fzstd"));
  provideDecompressor("zstd", (bytes, maxBytes) => {
    checkedFrames(bytes, maxBytes);
    const sink = new Sink(maxBytes);
    const stream = new Decompress((chunk) => sink.add(chunk));
    stream.push(bytes, true);
    return sink.bytes();
  });
}
