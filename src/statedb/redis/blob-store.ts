/**
 * The Python-compatible blob of one worker: read at its start, replaced at its checkpoints, never overwritten unread. One of our
 * own holds nothing that the sets lack, and is not read again: `:zrevoked_sum` says which that is.
 */
import { createHash } from "node:crypto";
import { hostUptimeSeconds } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { RedisSession } from "../../redis/session.ts";
import { decodeRevokedBlob, encodeRevokedBlob } from "../blob.ts";
import { PickleError } from "../pickle-reader.ts";
import type { Aged, Checkpoint } from "../state-db.ts";
import type { NodeKeys } from "./keys.ts";
import { BLOB_SUM } from "./scripts.lua.ts";

/** Celery's, which its reader takes no notice of. */
const MAXLEN = 50_000;
const EXPIRES_SECONDS = 10_800;
/** Celery drops at its start what is older than three hours; what is older here is still to hold. */
const OLDEST_SECONDS = EXPIRES_SECONDS / 2;
/** Stamps above are of a wall clock, as Celery 5.7 has them; below of a host's monotonic one. */
const WALL_CLOCK = 1e9;

export interface ReadBlob {
  /** Of its bytes; '': there is none. */
  readonly sha: string;
  /** Seconds; 0 where the stamp is of another host's clock. */
  readonly ids: Aged;
}

const NONE: ReadBlob = { sha: "", ids: new Map() };

/** The number of members of a blob that we wrote, with its SHA-1. null: there is none, or it is of another. */
export async function ownBlob(
  session: RedisSession,
  keys: NodeKeys,
): Promise<{ readonly sha: string; readonly count: number } | null> {
  const reply = await session.script(BLOB_SUM, { keys: [keys.blob, keys.sum], args: [] });
  const [sha = "", count] = typeof reply === "string" ? reply.split(" ") : [];
  return Number.isSafeInteger(Number(count)) && sha !== "" ? { sha, count: Number(count) } : null;
}

/** What the worker's own keys hold. A blob that cannot be read is kept aside, and the log says so. */
export async function readBlob(
  session: RedisSession,
  keys: NodeKeys,
  context: { readonly nowSeconds: number; readonly logger: Logger },
): Promise<ReadBlob> {
  const bytes = await session.command("get", [keys.blob], "bytes");
  if (!Buffer.isBuffer(bytes) || bytes.length === 0) return NONE;
  const sha = createHash("sha1").update(bytes).digest("hex");
  try {
    const { members } = await decodeRevokedBlob(bytes);
    const ages = [...members].map(([id, stamp]) => [id, ageOf(stamp, context.nowSeconds)] as const);
    return { sha, ids: new Map(ages) };
  } catch (err) {
    if (!(err instanceof PickleError)) throw err;
    await session.command("set", [keys.corrupt, bytes]);
    context.logger.error(
      { key: keys.blob, copy: keys.corrupt, reason: err.message },
      "the state of a worker cannot be read: it was copied, and is replaced at the next checkpoint",
    );
    return { sha, ids: new Map() };
  }
}

/** Age from a stamp; of a clock that is not known: as if it were new, so that nothing is dropped. */
function ageOf(stamp: number, nowSeconds: number): number {
  return stamp > WALL_CLOCK ? Math.max(0, nowSeconds - stamp) : 0;
}

/** `sum`: its SHA-1 and the number of its members. */
export interface WrittenBlob {
  readonly bytes: Buffer;
  readonly sha: string;
  readonly sum: string;
}

export async function writeBlob(ids: Checkpoint["ids"] & {}): Promise<WrittenBlob> {
  const stamped = new StampedIds(ids);
  const set = { maxlen: MAXLEN, expires: EXPIRES_SECONDS, members: stamped };
  const bytes = await encodeRevokedBlob(set);
  const sha = createHash("sha1").update(bytes).digest("hex");
  return { bytes, sha, sum: `${sha} ${stamped.count}` };
}

/** Ids with the stamps that a Celery of this host gives them, read once. */
class StampedIds implements Iterable<readonly [string, number]> {
  count = 0;
  readonly #ids: Checkpoint["ids"] & {};

  constructor(ids: Checkpoint["ids"] & {}) {
    this.#ids = ids;
  }

  *[Symbol.iterator](): Generator<readonly [string, number]> {
    const uptime = hostUptimeSeconds();
    for (const [id, age] of this.#ids) {
      this.count += 1;
      yield [id, uptime - Math.min(age, OLDEST_SECONDS)];
    }
  }
}
