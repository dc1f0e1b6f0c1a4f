/**
 * What a backend does for chords, and how the parts of one become what its body gets. Python: `on_chord_part_return` of
 * `celery/backends/redis.py`.
 *
 * | state    | part arrives, more are missing | last part arrives       | the body is sent | its worker dies         |
 * |----------|--------------------------------|-------------------------|------------------|-------------------------|
 * | counting | counts once for each task id   | -> claimed, for a lease |                  | next delivery counts    |
 * | claimed  |                                | another has it: nothing | -> ended         | -> overdue, by its note |
 * | overdue  |                                | as claimed              | -> ended         | found by `overdue`      |
 * | ended    | nothing, nor when it is begun a second time              |                  |                         |
 *
 * Where the broker is in the same store, the body is sent and the chord ended in one step (`push`). Elsewhere a worker that
 * dies in between makes the next one send the body again, under the same id.
 */
import { type ResultNode, readResultTuple } from "../protocol/result-tuple.ts";
import type { StoredMessages } from "../transports/transport.ts";
import type { ResultWrite } from "./backend.ts";

/** How one task of a header ended. */
export interface ChordPart {
  readonly taskId: string;
  readonly status: string;
  /** As it is stored: a value, or an exception. */
  readonly result: unknown;
}

/** A part on its way. */
export interface PartWrite {
  readonly group: string;
  readonly taskId: string;
  /** Its place; null: behind all others. */
  readonly index: number | null;
  readonly text: string | Buffer;
}

/** What to do with a chord. */
export type ChordOutcome =
  /** Parts are missing, or another worker has it. */
  | { readonly kind: "waiting" }
  | { readonly kind: "complete"; readonly values: readonly unknown[] }
  /** A part did not succeed: the first one, in their order. */
  | { readonly kind: "failed"; readonly part: ChordPart };

/** A chord whose worker did not end it. */
export interface OverdueChord {
  readonly group: string;
  readonly note: string;
  readonly outcome: ChordOutcome;
}

export interface ChordStore {
  /** @throws EncodeError */
  encodePart(group: string, part: ChordPart, index: number | null): PartWrite;
  /**
   * Stores the result, if any, and counts the part, in one step; a second time does no harm. Who gets anything but
   * `waiting` has the chord for a lease, and calls `end`. `note` is for whoever has to go on after that.
   */
  count(
    part: PartWrite,
    how: { readonly result: ResultWrite | null; readonly note: string },
  ): Promise<ChordOutcome>;
  /**
   * The body goes to the broker's lists, and the chord is over: in one step, or in parts of which each is done once.
   *
   * | answer    | meaning                                                        |
   * |-----------|----------------------------------------------------------------|
   * | sent      | done                                                           |
   * | taken     | another worker does it, or has done it                         |
   * | elsewhere | the broker is in another store: publish, and then call `end`   |
   */
  push(group: string, body: StoredMessages): Promise<"sent" | "taken" | "elsewhere">;
  /** The body was sent, or has failed. */
  end(group: string): Promise<void>;
  /** One part more to wait for, this task: `task.addToChord`. A second time it is known, and of a chord that is over nothing is noted. */
  extend(group: string, taskId: string): Promise<void>;
  /** Takes over what is overdue. */
  overdue(): Promise<readonly OverdueChord[]>;
}

/** How long a worker has a chord that is complete, ms. */
export const CHORD_LEASE_MS = 10_000;
/** Chords that one call of `overdue` gives. */
export const OVERDUE_COUNT = 20;

const WAITING: ChordOutcome = { kind: "waiting" };

/**
 * What the parts of a chord come to.
 *
 * @param size - parts that are waited for
 * @param saved - the header's tuple, where it was kept: results of groups inside it become lists of their own
 */
export function outcomeOf(parts: readonly ChordPart[], size: number, saved: unknown): ChordOutcome {
  const byId = new Map<string, ChordPart>();
  for (const part of parts) if (!byId.has(part.taskId)) byId.set(part.taskId, part);
  const tree = readResultTuple(saved);
  if (tree?.children == null) {
    if (byId.size < size) return WAITING;
    return joined([...byId.values()], (all) => all.map((part) => part.result ?? null));
  }
  const leaves = leavesOf(tree);
  const found = leaves.flatMap((id) => byId.get(id) ?? []);
  if (found.length < leaves.length) return WAITING;
  return joined(found, () => valuesOf(tree, byId) as readonly unknown[]);
}

function joined(
  parts: readonly ChordPart[],
  values: (parts: readonly ChordPart[]) => readonly unknown[],
): ChordOutcome {
  const failed = parts.find(({ status }) => status === "FAILURE" || status === "REVOKED");
  return failed === undefined
    ? { kind: "complete", values: values(parts) }
    : { kind: "failed", part: failed };
}

function leavesOf(node: ResultNode): readonly string[] {
  return node.children === null ? [node.id] : node.children.flatMap(leavesOf);
}

function valuesOf(node: ResultNode, parts: ReadonlyMap<string, ChordPart>): unknown {
  if (node.children === null) return parts.get(node.id)?.result ?? null;
  return node.children.map((child) => valuesOf(child, parts));
}
