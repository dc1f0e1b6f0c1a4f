/** Chords in this process, shared by name as results are. */
import type { MemoryBroker } from "../../transports/memory/index.ts";
import type { ResultWrite } from "../backend.ts";
import {
  CHORD_LEASE_MS,
  type ChordOutcome,
  type ChordPart,
  type ChordStore,
  OVERDUE_COUNT,
  type OverdueChord,
  outcomeOf,
  type PartWrite,
} from "../chords.ts";
import { GROUP_PREFIX, type ResultCodec } from "../result-codec.ts";

export interface MemoryChordsOptions {
  readonly broker: MemoryBroker;
  readonly codec: ResultCodec;
  readonly now: () => number;
  readonly write: (write: ResultWrite) => void;
  readonly readGroup: (id: string) => Promise<unknown>;
}

export class MemoryChords implements ChordStore {
  readonly #options: MemoryChordsOptions;

  constructor(options: MemoryChordsOptions) {
    this.#options = options;
  }

  encodePart(group: string, part: ChordPart, index: number | null): PartWrite {
    return { group, taskId: part.taskId, index, text: this.#options.codec.encodePart(part) };
  }

  async count(
    part: PartWrite,
    { result, note }: { readonly result: ResultWrite | null; readonly note: string },
  ): Promise<ChordOutcome> {
    const { broker, write, now } = this.#options;
    if (result !== null) write(result);
    const nowMs = now();
    if (this.#size(part.group) === 0) return { kind: "waiting" };
    const chord = broker.chords.of(part.group, nowMs, this.#ttlMs());
    if (!chord.parts.has(part.taskId)) chord.parts.set(part.taskId, part);
    const size = this.#size(part.group);
    if (size === null || chord.claimed !== null || chord.parts.size < size + chord.added.size)
      return { kind: "waiting" };
    chord.claimed = { untilMs: nowMs + CHORD_LEASE_MS, note };
    return this.#outcome(part.group);
  }

  async push(): Promise<"elsewhere"> {
    return "elsewhere";
  }

  async end(group: string): Promise<void> {
    const { broker, now, codec } = this.#options;
    const { ttlSeconds } = codec;
    broker.chords.delete(group);
    const ended = { location: { kind: "other" }, key: `${GROUP_PREFIX}${group}.s`, value: "0" } as const;
    broker.results.write({ ...ended, ttlSeconds, keepSuccess: false }, now());
  }

  async extend(group: string, taskId: string): Promise<void> {
    if (this.#size(group) === 0) return;
    this.#options.broker.chords.of(group, this.#options.now(), this.#ttlMs()).added.add(taskId);
  }

  async overdue(): Promise<readonly OverdueChord[]> {
    const { broker, now } = this.#options;
    const nowMs = now();
    const taken: OverdueChord[] = [];
    for (const [group, chord] of broker.chords.all) {
      if (chord.claimed === null || chord.claimed.untilMs > nowMs) continue;
      chord.claimed.untilMs = nowMs + CHORD_LEASE_MS;
      taken.push({ group, note: chord.claimed.note, outcome: await this.#outcome(group) });
      if (taken.length === OVERDUE_COUNT) break;
    }
    return taken;
  }

  #ttlMs(): number {
    const { ttlSeconds } = this.#options.codec;
    return ttlSeconds > 0 ? ttlSeconds * 1000 : Number.POSITIVE_INFINITY;
  }

  #size(group: string): number | null {
    const { broker, now } = this.#options;
    const stored = broker.results.read(`${GROUP_PREFIX}${group}.s`, now());
    return stored === null ? null : Number(stored.toString());
  }

  async #outcome(group: string): Promise<ChordOutcome> {
    const { broker, codec, now, readGroup } = this.#options;
    const saved = await readGroup(group);
    const chord = broker.chords.of(group, now(), this.#ttlMs());
    const parts = [...chord.parts.values()]
      .toSorted((a, b) => (a.index ?? Number.POSITIVE_INFINITY) - (b.index ?? Number.POSITIVE_INFINITY))
      .map(({ text }) => codec.decodePart(text, group));
    const outcome = outcomeOf(parts, (this.#size(group) ?? 0) + chord.added.size, saved);
    if (outcome.kind === "waiting") chord.claimed = null;
    return outcome;
  }
}
