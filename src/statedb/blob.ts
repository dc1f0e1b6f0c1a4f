/**
 * The value of `…:zrevoked`: zlib of a pickled LimitedSet, as Celery's `worker.state.Persistent` and celery-redis-statedb
 * write it.
 */

import { promisify } from "node:util";
import { constants, deflate, inflate } from "node:zlib";
import { type PickledLimitedSet, PickleError, readLimitedSet } from "./pickle-reader.ts";
import { type LimitedSetParts, writeLimitedSet } from "./pickle-writer.ts";

/** Two million ids. */
const MAX_INFLATED = 128 * 1024 * 1024;

const deflated = promisify(deflate);
const inflated = promisify(inflate);

/** @throws PickleError when it is something else. */
export async function decodeRevokedBlob(blob: Uint8Array): Promise<PickledLimitedSet> {
  let bytes: Uint8Array;
  try {
    bytes = await inflated(blob, { maxOutputLength: MAX_INFLATED });
  } catch (cause) {
    throw new PickleError("it is no zlib stream, or a too large one", { cause });
  }
  return readLimitedSet(bytes);
}

/** Lets other work in between its parts. */
export async function encodeRevokedBlob(set: LimitedSetParts): Promise<Buffer> {
  return deflated(await writeLimitedSet(set), { level: constants.Z_BEST_SPEED });
}
