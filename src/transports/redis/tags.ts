/**
 * Tags: the field names of `unacked`. A tag is used for one hold and never again, so that a late ack cannot end the hold of
 * another. kombu takes any text.
 *
 * held `ts1:<node>:<call>:<i>`, parked `ts1:p:<step>:<node>:<call>:<i>`; node = 60 hex digits, new for every consumer.
 *
 * Tags are long on purpose: Redis keeps a small sorted set with short members as a list, in which each ZADD and ZREM reads all
 * scores. Members of more than 64 bytes (`zset-max-listpack-value`) make it a skip list from the first one on: with ten to
 * forty held messages a task costs the server a third less.
 */
import { randomBytes } from "node:crypto";

export interface ParsedTag {
  /** Priority step that a parked message goes back to; null for a held one. */
  readonly step: number | null;
  readonly node: string;
  readonly call: number;
  readonly index: number;
}

/** With the shortest rest (`ts1:` and `:1:1`) one byte more than 64. */
const NODE_BYTES = 30;

export function newNode(): string {
  return randomBytes(NODE_BYTES).toString("hex");
}

/** What FETCH puts in front of `call:i`. */
export function nodePrefix(node: string): string {
  return `ts1:${node}:`;
}

/** The tag that a held message gets when it is parked: as unique as the one it had. */
export function parkedTag(step: number, heldTag: string): string {
  return `ts1:p:${step}:${heldTag.slice(4)}`;
}

/** null: not one of ours. */
export function parseTag(tag: string): ParsedTag | null {
  const match = /^ts1:(?:p:(\d+):)?([0-9a-f]+):(\d+):(\d+)$/.exec(tag);
  if (match === null) return null;
  const [, step, node = "", call, index] = match;
  return { step: step === undefined ? null : Number(step), node, call: Number(call), index: Number(index) };
}

/** An entry that was found by a sweep or is put back at shutdown. */
export interface Tagged {
  readonly tag: string;
  /** Score of the index it was found in; orders what our numbers do not. */
  readonly score: number;
}

/**
 * Newest first: pushed in this order to the front of a list, the oldest is next out. Numbers are compared as numbers inside
 * one node; nodes, and strangers' tags, by the newest score they have.
 */
export function newestFirst<T extends Tagged>(entries: readonly T[]): T[] {
  const groups = new Map<string, { newest: number; entries: { entry: T; tag: ParsedTag | null }[] }>();
  for (const entry of entries) {
    const tag = parseTag(entry.tag);
    const key = tag?.node ?? `foreign ${entry.tag}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { newest: entry.score, entries: [{ entry, tag }] });
    else {
      group.newest = Math.max(group.newest, entry.score);
      group.entries.push({ entry, tag });
    }
  }
  return [...groups.values()]
    .sort((a, b) => b.newest - a.newest)
    .flatMap((group) =>
      group.entries
        .sort((a, b) => (b.tag?.call ?? 0) - (a.tag?.call ?? 0) || (b.tag?.index ?? 0) - (a.tag?.index ?? 0))
        .map(({ entry }) => entry),
    );
}
