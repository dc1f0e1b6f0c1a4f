/** msgpack as kombu speaks it: texts and bytes apart (`use_bin_type=True`, `raw=False`), integers of 64 bits. */

import { Buffer } from "node:buffer";
import type * as msgpackPackage from "@msgpack/msgpack";
import { importPeer } from "../base/import-peer.ts";
import { DecodeError } from "../errors.ts";
import { registerSerializer } from "../protocol/serialization.ts";
import type { Limits } from "../protocol/wire.ts";
import { checkMsgpack } from "./msgpack-check.ts";
import { fromPlain, type PlainFormat, toPlain } from "./plain.ts";

type Msgpack = typeof msgpackPackage;

const FORMAT: PlainFormat = { name: "msgpack", bytes: true, bigints: [-(2n ** 63n), 2n ** 64n - 1n] };

/** Registers the serializer `msgpack`. */
export async function loadMsgpack(): Promise<void> {
  const msgpack = await importPeer<Msgpack>(
    "@msgpack/msgpack",
    "the serializer msgpack",
    () => import("@msgpack/msgpack"),
  );
  registerSerializer({
    name: "msgpack",
    contentType: "application/x-msgpack",
    contentEncoding: "binary",
    encode: (value, where) =>
      msgpack.encode(wideIntegers(toPlain(value, where, FORMAT)), { useBigInt64: true, maxDepth: 1000 }),
    decode: (body, limits) => decode(msgpack, body, limits),
  });
}

/** The package writes integers beyond 32 bits as floats, unless they are bigints. */
function wideIntegers(value: unknown): unknown {
  if (typeof value === "number") {
    return Number.isSafeInteger(value) && (value > 0xffffffff || value < -0x80000000) ? BigInt(value) : value;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  const container = value as Record<string, unknown>;
  for (const key of Object.keys(container)) container[key] = wideIntegers(container[key]);
  return container;
}

function decode(msgpack: Msgpack, body: string | Uint8Array, limits: Limits): unknown {
  const bytes = typeof body === "string" ? Buffer.from(body, "latin1") : body;
  checkMsgpack(bytes, limits.maxDepth);
  let value: unknown;
  try {
    value = msgpack.decode(bytes, { useBigInt64: true, mapKeyConverter: keyText });
  } catch (error) {
    throw new DecodeError(`not msgpack: ${(error as Error).message}`, { cause: error });
  }
  return fromPlain(value, "msgpack", limits);
}

/** Keys that are no texts become the text JSON would give them, as with kombu's json. */
function keyText(key: unknown): string {
  if (typeof key === "string") return key;
  if (key === null || typeof key === "boolean" || typeof key === "number" || typeof key === "bigint")
    return `${key}`;
  throw new DecodeError("not msgpack for us: a key is neither a text nor a number");
}
