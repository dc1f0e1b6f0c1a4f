/** What an operator does to the state of workers on Redis. */
import type { Logger } from "../../base/logger.ts";
import { PetioleError } from "../../errors.ts";
import type { RedisSession } from "../../redis/session.ts";
import type { Aged, ForgottenNode, NodeState, ShownState, StateOverview } from "../state-db.ts";
import { readBlob, writeBlob } from "./blob-store.ts";
import type { StateKeys } from "./keys.ts";
import { allReplies, pairsOf, serverSeconds } from "./replies.ts";
import { FORGET, MERGE, NOTIFY_PURGED, PURGE, RECORD, REPLACE_BLOB } from "./scripts.lua.ts";

const PAGE = 1_000;
const BLOB_ATTEMPTS = 5;

/** Names of the workers of whom something is kept. */
async function nodesOf(session: RedisSession, keys: StateKeys): Promise<readonly string[]> {
  const found = new Set<string>();
  let cursor = "0";
  do {
    const reply = await session.command("scan", [cursor, "MATCH", keys.pattern, "COUNT", PAGE]);
    const [next, names] = reply as readonly [string, readonly string[]];
    for (const name of names) {
      const node = keys.nodeOf(name);
      if (node !== null) found.add(node);
    }
    cursor = next;
  } while (cursor !== "0");
  return [...found].sort();
}

export async function overview(session: RedisSession, keys: StateKeys): Promise<StateOverview> {
  const nodes: NodeState[] = [];
  for (const node of await nodesOf(session, keys)) {
    const own = keys.node(node);
    const [ids, stamps, clock, blobBytes, alive, seen] = await allReplies(session, [
      ["zcard", own.ids],
      ["zcard", own.stamps],
      ["get", own.clock],
      ["strlen", own.blob],
      ["exists", own.owner],
      ["zmscore", keys.nodes, node],
    ]);
    const [seenAt] = seen as readonly (string | null)[];
    nodes.push({
      node,
      ids: Number(ids),
      stamps: Number(stamps),
      clock: Number(clock ?? 0) || 0,
      blobBytes: Number(blobBytes),
      seenMs: seenAt === null || seenAt === undefined ? null : Math.round(Number(seenAt) * 1000),
      alive: Number(alive) === 1,
    });
  }
  const [ids, stamps] = await allReplies(session, [
    ["zcard", keys.sharedIds],
    ["zcard", keys.sharedStamps],
  ]);
  return { nodes, shared: { ids: Number(ids), stamps: Number(stamps) } };
}

export async function show(
  session: RedisSession,
  keys: StateKeys,
  { node, limit }: { readonly node: string | null; readonly limit: number },
): Promise<ShownState> {
  const own = node === null ? null : keys.node(node);
  const last = limit - 1;
  const [time, ids, stamps] = await allReplies(session, [
    ["time"],
    ["zrange", own?.ids ?? keys.sharedIds, 0, last, "REV", "WITHSCORES"],
    ["zrange", own?.stamps ?? keys.sharedStamps, 0, last, "REV", "WITHSCORES"],
  ]);
  const now = serverSeconds(time);
  const aged = (reply: unknown): Aged =>
    new Map(pairsOf(reply).map(([member, at]) => [member, Math.max(0, now - at)] as const));
  return { ids: aged(ids), stamps: aged(stamps) };
}

interface PurgeOptions {
  readonly olderThanSeconds: number;
  /** null: all workers, and what they share. */
  readonly node: string | null;
  /** What all share, too. */
  readonly withShared?: boolean;
  readonly logger: Logger;
}

export async function purge(session: RedisSession, keys: StateKeys, options: PurgeOptions): Promise<number> {
  const { node, olderThanSeconds, withShared = node === null } = options;
  const nodes = node === null ? await nodesOf(session, keys) : [node];
  let total = 0;
  const ofWorkers = new Set<string>();
  for (const name of nodes) {
    const own = keys.node(name);
    const ids = await purgeSet(session, own.ids, olderThanSeconds);
    const stamps = await purgeSet(session, own.stamps, olderThanSeconds);
    total += ids.length + stamps.length;
    total += await purgeBlob(session, keys, { node: name, ids: new Set(ids), options });
    for (const one of [...ids, ...stamps]) ofWorkers.add(one);
  }
  if (withShared) {
    const ids = await purgeSet(session, keys.sharedIds, olderThanSeconds);
    const stamps = await purgeSet(session, keys.sharedStamps, olderThanSeconds);
    total += [...ids, ...stamps].filter((one) => !ofWorkers.has(one)).length;
  }
  if (total > 0) await session.script(NOTIFY_PURGED, { keys: [keys.seq], args: [keys.channel] });
  return total;
}

async function purgeSet(session: RedisSession, key: string, olderThanSeconds: number): Promise<string[]> {
  const removed: string[] = [];
  for (;;) {
    const page = (await session.script(PURGE, { keys: [key], args: [olderThanSeconds, PAGE] })) as string[];
    removed.push(...page);
    if (page.length < PAGE) return removed;
  }
}

/** Takes out what the journal no longer has, and what has a wall clock's stamp. Returns how many the journal never had. */
async function purgeBlob(
  session: RedisSession,
  keys: StateKeys,
  {
    node,
    ids,
    options,
  }: { readonly node: string; readonly ids: ReadonlySet<string>; readonly options: PurgeOptions },
): Promise<number> {
  const own = keys.node(node);
  for (let attempt = 0; attempt < BLOB_ATTEMPTS; attempt += 1) {
    const [time] = await allReplies(session, [["time"]]);
    const context = { nowSeconds: serverSeconds(time), logger: options.logger };
    const blob = await readBlob(session, own, context);
    const isOld = (age: number): boolean => age > 0 && age >= options.olderThanSeconds;
    const kept = new Map([...blob.ids].filter(([id, age]) => !ids.has(id) && !isOld(age)));
    if (blob.ids.size === 0 || kept.size === blob.ids.size) return 0;
    const bytes = kept.size === 0 ? "" : (await writeBlob(kept)).bytes;
    if ((await session.script(REPLACE_BLOB, { keys: [own.blob], args: [blob.sha, bytes] })) !== 1) continue;
    return [...blob.ids.keys()].filter((id) => !kept.has(id) && !ids.has(id)).length;
  }
  throw busy(node);
}

export async function forget(
  session: RedisSession,
  keys: StateKeys,
  options: { readonly node: string; readonly merge: boolean; readonly logger: Logger },
): Promise<ForgottenNode> {
  const { node, merge, logger } = options;
  const own = keys.node(node);
  if (Number(await session.command("exists", [own.owner])) === 1) throw running(node);
  let merged = 0;
  if (merge) {
    merged += await mergeSet(session, own.ids, keys.sharedIds);
    merged += await mergeSet(session, own.stamps, keys.sharedStamps);
    const blob = await readBlob(session, own, { nowSeconds: 0, logger });
    const page = [...blob.ids.keys()];
    for (let from = 0; from < page.length; from += PAGE) {
      const ids = page.slice(from, from + PAGE);
      const into = ["", "", keys.sharedIds, keys.sharedStamps, keys.seq];
      const known = (await session.command("zmscore", [own.ids, ...ids])) as readonly unknown[];
      const fresh = ids.filter((_, index) => known[index] === null);
      if (fresh.length === 0) continue;
      await session.script(RECORD, { keys: into, args: [0, 1, keys.channel, 0, fresh.length, "", ...fresh] });
      merged += fresh.length;
    }
  }
  const doomed = [own.ids, own.stamps, own.clock, own.blob, own.sum];
  const deleted = await session.script(FORGET, { keys: [own.owner, keys.nodes, ...doomed], args: [node] });
  if (deleted === -1) throw running(node);
  // A worker that runs has not heard of what was merged without the channel.
  if (merged > 0) await session.script(NOTIFY_PURGED, { keys: [keys.seq], args: [keys.channel] });
  return { found: Number(deleted) > 0, merged };
}

async function mergeSet(session: RedisSession, from: string, into: string): Promise<number> {
  let merged = 0;
  for (;;) {
    const keys = [from, into];
    const count = Number(await session.script(MERGE, { keys, args: [merged, merged + PAGE - 1] }));
    merged += count;
    if (count < PAGE) return merged;
  }
}

function running(node: string): PetioleError {
  return new PetioleError(
    "PET_USAGE",
    `a worker named ${node} runs, or ended without a word less than 90 s ago: stop it first, or wait`,
  );
}

function busy(node: string): PetioleError {
  return new PetioleError("PET_USAGE", `the state of ${node} is written all the time: try again`);
}
