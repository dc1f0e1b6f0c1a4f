/** Chords on Redis. Keys and values are Python's, so that workers of both languages count the same chord. */
import type { RedisArg } from "../../redis/connection.ts";
import type { RedisSession } from "../../redis/session.ts";
import { type StoredMessages, type StoreLocation, sameStore } from "../../transports/transport.ts";
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
import type { ResultCodec } from "../result-codec.ts";
import { COUNT, END, EXTEND, OVERDUE, PUSH } from "./chord.lua.ts";
import type { ResultKeys } from "./keys.ts";
import type { ResultReader } from "./reader.ts";

/** Parts that are read and decoded in one go: a turn of the event loop. */
const PAGE = 250;
/** Messages of one call that sends a body, and their UTF-16 units, at most; one that is bigger goes alone. */
const PUSH_COUNT = 500;
const PUSH_UNITS = 1024 * 1024;

export interface RedisChordsOptions {
  readonly session: RedisSession;
  readonly reader: ResultReader;
  readonly codec: ResultCodec;
  readonly keys: ResultKeys;
  /** `result_chord_ordered`. */
  readonly ordered: boolean;
  readonly readGroup: (id: string) => Promise<unknown>;
  readonly location: () => StoreLocation;
}

export class RedisChords implements ChordStore {
  readonly #options: RedisChordsOptions;

  constructor(options: RedisChordsOptions) {
    this.#options = options;
  }

  encodePart(group: string, part: ChordPart, index: number | null): PartWrite {
    return { group, taskId: part.taskId, index, text: this.#options.codec.encodePart(part) };
  }

  async count(
    part: PartWrite,
    { result, note }: { readonly result: ResultWrite | null; readonly note: string },
  ): Promise<ChordOutcome> {
    const { reader, session, codec, keys, ordered } = this.#options;
    const { group, taskId, index, text } = part;
    const chord = keys.chord(group);
    const args: RedisArg[] = [
      taskId,
      index ?? "",
      text,
      codec.ttlSeconds,
      ordered ? "1" : "0",
      codec.isBinary ? taskId : codec.isJson ? `"${taskId}"` : taskId,
      group,
      note,
      CHORD_LEASE_MS,
      result?.ttlSeconds ?? 0,
      result?.keepSuccess === true ? "1" : "0",
      result?.value ?? "",
    ];
    const size = await reader.retried("counting a part of a chord", () =>
      session.script(COUNT, {
        keys: [
          chord.parts,
          chord.extra,
          chord.size,
          chord.seen,
          keys.dueChords,
          keys.chordNotes,
          result?.key ?? chord.size,
        ],
        args,
      }),
    );
    return typeof size === "number" && size > 0 ? this.#outcome(group, size) : { kind: "waiting" };
  }

  /** Gives it back when parts are missing after all: Python's workers may count one twice. */
  async #outcome(group: string, size: number): Promise<ChordOutcome> {
    const saved = await this.#options.readGroup(group);
    const outcome = outcomeOf(await this.#parts(group), size, saved);
    if (outcome.kind === "waiting") await this.#end(group, true);
    return outcome;
  }

  async #parts(group: string): Promise<readonly ChordPart[]> {
    const { reader, session, codec, keys, ordered } = this.#options;
    const key = keys.chord(group).parts;
    const parts: ChordPart[] = [];
    for (let from = 0; ; from += PAGE) {
      const page = await reader.retried("reading the parts of a chord", () =>
        session.command(
          ordered ? "zrange" : "lrange",
          [key, from, from + PAGE - 1],
          codec.isBinary ? "bytes" : "text",
        ),
      );
      if (!Array.isArray(page)) return parts;
      for (const text of page as readonly (string | Buffer)[]) parts.push(codec.decodePart(text, key));
      if (page.length < PAGE) return parts;
    }
  }

  async end(group: string): Promise<void> {
    await this.#end(group, false);
  }

  async #end(group: string, back: boolean): Promise<void> {
    const { reader, session, codec, keys } = this.#options;
    const { parts, extra, size, seen, sent } = keys.chord(group);
    const deleted = back ? [] : [parts, extra, seen, sent];
    await reader.retried("ending a chord", () =>
      session.script(END, {
        keys: [keys.dueChords, keys.chordNotes, size, ...deleted],
        args: [group, codec.ttlSeconds, back ? "1" : "0"],
      }),
    );
  }

  async push(group: string, body: StoredMessages): Promise<"sent" | "taken" | "elsewhere"> {
    const { reader, session, codec, keys, location } = this.#options;
    const here = location();
    if (body.location.kind !== "redis" || here.kind !== "redis" || !sameStore(body.location, here))
      return "elsewhere";
    const { parts, extra, seen, sent } = keys.chord(group);
    const { messages } = body;
    const bounds = chunks(messages);
    let before = 0;
    if (bounds.length > 1) {
      const known = await reader.retried("looking what is sent of a body", () =>
        session.command("get", [sent]),
      );
      before = Number(known ?? 0);
    }
    for (const end of bounds) {
      if (end <= before) continue;
      const args: RedisArg[] = [
        group,
        before,
        messages.length,
        codec.ttlSeconds,
        CHORD_LEASE_MS,
        here.db,
        body.location.db,
      ];
      for (const { list, text } of messages.slice(before, end)) args.push(list, text);
      const done = await reader.retried("sending the body of a chord", () =>
        session.script(PUSH, { keys: [keys.dueChords, keys.chordNotes, sent, parts, extra, seen], args }),
      );
      if (done !== 1) return "taken";
      before = end;
    }
    return "sent";
  }

  async extend(group: string, taskId: string): Promise<void> {
    const { reader, session, codec, keys } = this.#options;
    const { extra, size, seen } = keys.chord(group);
    await reader.retried("adding to a chord", () =>
      session.script(EXTEND, { keys: [extra, size, seen], args: [codec.ttlSeconds, taskId] }),
    );
  }

  async overdue(): Promise<readonly OverdueChord[]> {
    const { session, keys, reader } = this.#options;
    const reply = await reader.retried("looking for overdue chords", () =>
      session.script(OVERDUE, {
        keys: [keys.dueChords, keys.chordNotes],
        args: [CHORD_LEASE_MS, OVERDUE_COUNT],
      }),
    );
    const found = Array.isArray(reply) ? (reply as readonly string[]) : [];
    const chords: OverdueChord[] = [];
    for (let index = 0; index + 1 < found.length; index += 2) {
      const group = found[index] as string;
      const [, size = "", note = ""] = /^(\d+) (.*)$/su.exec(found[index + 1] as string) ?? [];
      const outcome = await this.#outcome(group, Number(size));
      chords.push({ group, note, outcome });
    }
    return chords;
  }
}

/** Where the messages of each call end. */
function chunks(messages: StoredMessages["messages"]): readonly number[] {
  const ends: number[] = [];
  let count = 0;
  let units = 0;
  for (const [index, { text }] of messages.entries()) {
    if (count > 0 && (count === PUSH_COUNT || units + text.length > PUSH_UNITS)) {
      ends.push(index);
      count = 0;
      units = 0;
    }
    count += 1;
    units += text.length;
  }
  ends.push(messages.length);
  return ends;
}
