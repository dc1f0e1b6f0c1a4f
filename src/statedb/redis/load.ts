/** Reads what is revoked: a worker's own sets and those that all share. */
import type { RedisArg } from "../../redis/connection.ts";
import type { RedisSession } from "../../redis/session.ts";
import type { NodeKeys, StateKeys } from "./keys.ts";
import { allReplies, serverSeconds } from "./replies.ts";

interface LoadOptions {
  /** null: of a client, that has none. */
  readonly own: NodeKeys | null;
  readonly shared: boolean;
  readonly ttlSeconds: number | null;
  /** Of each, the newest. */
  readonly max: number;
}

export interface LoadedSets {
  /** Oldest first; together they may be more than `max`. */
  readonly ids: Map<string, number>;
  readonly stamps: Map<string, number>;
  readonly clock: number;
  readonly seq: number;
  /** No set has more than `max`. */
  readonly complete: boolean;
  /** The server's time. */
  readonly nowSeconds: number;
}

export async function loadSets(
  session: RedisSession,
  keys: StateKeys,
  options: LoadOptions,
): Promise<LoadedSets> {
  const { own, max, ttlSeconds } = options;
  const [time, seq, clock, idCount, stampCount] = await allReplies(session, [
    ["time"],
    ["get", keys.seq],
    ["get", own?.clock ?? ""],
    ["zcard", own?.ids ?? ""],
    ["zcard", own?.stamps ?? ""],
  ]);
  const idReads = reads([own?.ids ?? null, keys.sharedIds], Number(idCount), options);
  const stampReads = reads([own?.stamps ?? null, keys.sharedStamps], Number(stampCount), options);
  const replies = (await allReplies(session, [...idReads, ...stampReads])) as (readonly string[])[];
  const nowSeconds = serverSeconds(time);
  return {
    ids: agedOf(replies.slice(0, idReads.length), nowSeconds, ttlSeconds),
    stamps: agedOf(replies.slice(idReads.length), nowSeconds, ttlSeconds),
    clock: Number(clock ?? 0) || 0,
    seq: Number(seq ?? 0),
    complete: replies.every((flat) => flat.length <= 2 * max),
    nowSeconds,
  };
}

/**
 * Commands that read the newest of each set, one more than `max`. What was revoked is mostly in both sets: the server leaves out
 * of a worker's own what the other has, unless it is a lot, or its age counts.
 */
function reads(
  [own, common]: readonly [own: string | null, common: string],
  size: number,
  { shared, ttlSeconds, max }: LoadOptions,
): (readonly [string, ...RedisArg[]])[] {
  const newestOf = (key: string) => ["zrange", key, -max - 1, -1, "WITHSCORES"] as const;
  if (!shared) return own === null ? [] : [newestOf(own)];
  if (own === null) return [newestOf(common)];
  if (size > max || ttlSeconds !== null) return [newestOf(common), newestOf(own)];
  return [newestOf(common), ["zdiff", 2, own, common, "WITHSCORES"]];
}

/**
 * Members with their ages, oldest first, of replies of ZRANGE … WITHSCORES that are so, too; the younger age where several have
 * one. The first has mostly all there is: only where another has more is there anything to sort.
 */
function agedOf(
  replies: readonly (readonly string[])[],
  nowSeconds: number,
  ttlSeconds: number | null,
): Map<string, number> {
  const ages = new Map<string, number>();
  const oldest = ttlSeconds ?? Number.POSITIVE_INFINITY;
  let isSorted = true;
  for (const [index, flat] of replies.entries()) {
    for (let at = 0; at + 1 < flat.length; at += 2) {
      const member = flat[at] as string;
      const age = Math.max(0, nowSeconds - Number(flat[at + 1]));
      if (age >= oldest) continue;
      if (index > 0) {
        const known = ages.get(member);
        if (known !== undefined && known <= age) continue;
        isSorted = false;
      }
      ages.set(member, age);
    }
  }
  return isSorted ? ages : new Map([...ages].toSorted((a, b) => b[1] - a[1]));
}
