/**
 * Serializers and compressions that need a package. Nothing is imported until it is asked for: an error of
 * `PET_CODEC_UNAVAILABLE` names the codec, `await loadCodec(name)` brings it, and the call is made again.
 */
import { DecodeError, EncodeError, PetioleError } from "../errors.ts";
import { loadBzip2 } from "./bzip2.ts";
import { loadMsgpack } from "./msgpack.ts";
import { loadXz } from "./xz.ts";
import { loadYaml } from "./yaml.ts";
import { loadZstd } from "./zstd.ts";

const LOADERS: ReadonlyMap<string, () => Promise<void>> = new Map([
  ["msgpack", loadMsgpack],
  ["application/x-msgpack", loadMsgpack],
  ["yaml", loadYaml],
  ["application/x-yaml", loadYaml],
  ["zstd", loadZstd],
  ["zstandard", loadZstd],
  ["application/zstd", loadZstd],
  ["bzip2", loadBzip2],
  ["bzip", loadBzip2],
  ["application/x-bz2", loadBzip2],
  ["lzma", loadXz],
  ["xz", loadXz],
  ["application/x-lzma", loadXz],
]);

/** Loads that are done or under way. A load that failed may be tried again. */
const loading = new Map<() => Promise<void>, Promise<void>>();

/**
 * Loads a serializer or a compression. Idempotent; what is built in (json, gzip, zlib, brotli) needs nothing.
 *
 * @param name - a name or a content type: `msgpack`, `yaml`, `zstd`, `bzip2`, `lzma`
 * @throws PetioleError `PET_PEER_MISSING` when its package is not installed
 */
export async function loadCodec(name: string): Promise<void> {
  const load = LOADERS.get(name);
  if (load === undefined) {
    if (BUILT_IN.has(name)) return;
    throw new PetioleError("PET_CODEC_UNAVAILABLE", `there is no codec ${JSON.stringify(name)} to load`);
  }
  let started = loading.get(load);
  if (started === undefined) {
    started = load();
    loading.set(load, started);
    started.catch(() => loading.delete(load));
  }
  await started;
}

const BUILT_IN: ReadonlySet<string> = new Set(["json", "application/json", "gzip", "zlib", "brotli"]);

/** The codec that would have to be loaded for what failed to succeed; null: another reason. */
export function codecNeeded(error: unknown): string | null {
  return error instanceof DecodeError || error instanceof EncodeError ? error.codec : null;
}
