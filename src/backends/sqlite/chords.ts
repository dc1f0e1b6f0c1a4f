/** Chords in the file of the results. */
import type { Clock } from "../../base/clock.ts";
import { asBuffer, type Database, readText, type SqlValue } from "../../sqlite/index.ts";
import { Messages, type ResultTable, readList, type StoredText } from "../../transports/sqlite/index.ts";
import { type StoredMessages, sameStore } from "../../transports/transport.ts";
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
import { backendError, GROUP_PREFIX, type ResultCodec } from "../result-codec.ts";

export interface SqliteChordsOptions {
  /** Throws before the start. */
  readonly db: () => Database;
  readonly results: () => ResultTable;
  readonly codec: ResultCodec;
  readonly clock: Clock;
}

/** Expired chords that are deleted in one step. */
const EXPIRED_COUNT = 10;

export class SqliteChords implements ChordStore {
  readonly #options: SqliteChordsOptions;

  constructor(options: SqliteChordsOptions) {
    this.#options = options;
  }

  encodePart(group: string, part: ChordPart, index: number | null): PartWrite {
    return { group, taskId: part.taskId, index, text: this.#options.codec.encodePart(part) };
  }

  count(
    part: PartWrite,
    { result, note }: { readonly result: ResultWrite | null; readonly note: string },
  ): Promise<ChordOutcome> {
    const { group, taskId, index, text } = part;
    return this.#write((db) => {
      const nowMs = this.#now();
      if (result !== null) this.#options.results().write(result, nowMs);
      if (this.#size(group) === 0) return { kind: "waiting" };
      this.#touch(db, group);
      db.run(
        "INSERT OR IGNORE INTO petiole_chord_parts (chord, task, place, value) VALUES (?, ?, ?, ?)",
        group,
        taskId,
        index,
        text,
      );
      const chord = db.get("SELECT extra, claimed FROM petiole_chords WHERE name = ?", group);
      const size = this.#size(group);
      if (size === null || chord?.["claimed"] !== null) return { kind: "waiting" };
      const parts = db.get("SELECT count(*) AS n FROM petiole_chord_parts WHERE chord = ?", group);
      const extra = chord["extra"] as number;
      if ((parts?.["n"] as number) < size + extra) return { kind: "waiting" };
      const outcome = this.#outcome(db, group, size + extra);
      if (outcome.kind !== "waiting") {
        const until = nowMs + CHORD_LEASE_MS;
        db.run("UPDATE petiole_chords SET claimed = ?, note = ? WHERE name = ?", until, note, group);
      }
      return outcome;
    });
  }

  end(group: string): Promise<void> {
    return this.#write((db) => this.#end(db, group));
  }

  /** One transaction, however many they are. */
  async push(group: string, body: StoredMessages): Promise<"sent" | "taken" | "elsewhere"> {
    if (!sameStore(body.location, { kind: "file", path: this.#options.db().path })) return "elsewhere";
    return this.#write((db) => {
      const claimed = db.get("SELECT claimed FROM petiole_chords WHERE name = ?", group)?.["claimed"] ?? null;
      if (claimed === null) return "taken";
      const messages = new Messages(db);
      for (const { list, text } of body.messages) {
        const { queue, step } = readList(list);
        messages.push(queue, step, text);
      }
      this.#end(db, group);
      return "sent";
    });
  }

  #end(db: Database, group: string): void {
    this.#delete(db, group);
    const key = `${GROUP_PREFIX}${group}.s`;
    const { ttlSeconds } = this.#options.codec;
    const ended = { location: { kind: "other" }, key, value: "0", ttlSeconds, keepSuccess: false } as const;
    this.#options.results().write(ended, this.#now());
  }

  extend(group: string, taskId: string): Promise<void> {
    return this.#write((db) => {
      const results = this.#options.results();
      const key = `${GROUP_PREFIX}${group}.added.${taskId}`;
      if (this.#size(group) === 0 || results.read(key, this.#now()) !== null) return;
      const { ttlSeconds } = this.#options.codec;
      const added = { location: { kind: "other" }, key, value: "1", ttlSeconds, keepSuccess: false } as const;
      results.write(added, this.#now());
      this.#touch(db, group);
      db.run("UPDATE petiole_chords SET extra = extra + 1 WHERE name = ?", group);
    });
  }

  async overdue(): Promise<readonly OverdueChord[]> {
    const { db } = this.#options;
    const due = "SELECT name, note, extra FROM petiole_chords WHERE claimed <= ? ORDER BY claimed LIMIT ?";
    const now = this.#now();
    if (db().read(() => db().get(due, now, 1)) === undefined) return [];
    return this.#write((file) => {
      const nowMs = this.#now();
      return file.all(due, nowMs, OVERDUE_COUNT).map((row) => {
        const group = readText(row["name"]);
        const outcome = this.#outcome(file, group, (this.#size(group) ?? 0) + (row["extra"] as number));
        const until = outcome.kind === "waiting" ? null : nowMs + CHORD_LEASE_MS;
        file.run("UPDATE petiole_chords SET claimed = ? WHERE name = ?", until, group);
        return { group, note: readText(row["note"]), outcome };
      });
    });
  }

  /** Made when there is none; its time to live begins anew. */
  #touch(db: Database, group: string): void {
    const nowMs = this.#now();
    const { ttlSeconds } = this.#options.codec;
    const expired = "SELECT name FROM petiole_chords WHERE expires <= ? LIMIT ?";
    for (const row of db.all(expired, nowMs, EXPIRED_COUNT)) this.#delete(db, readText(row["name"]));
    db.run(
      "INSERT INTO petiole_chords (name, expires) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET expires = excluded.expires",
      group,
      ttlSeconds > 0 ? nowMs + ttlSeconds * 1000 : null,
    );
  }

  #delete(db: Database, group: string): void {
    db.run("DELETE FROM petiole_chords WHERE name = ?", group);
    db.run("DELETE FROM petiole_chord_parts WHERE chord = ?", group);
  }

  #size(group: string): number | null {
    const stored = this.#options.results().read(`${GROUP_PREFIX}${group}.s`, this.#now());
    return stored === null ? null : Number(stored.toString());
  }

  /** @throws BackendError when a part cannot be read */
  #outcome(db: Database, group: string, size: number): ChordOutcome {
    const { codec, results } = this.#options;
    const key = GROUP_PREFIX + group;
    const stored = results().read(key, this.#now());
    const saved = stored === null ? null : codec.decodeGroup(stored, key);
    const rows = db.all(
      "SELECT value FROM petiole_chord_parts WHERE chord = ? ORDER BY place IS NULL, place, seq",
      group,
    );
    const parts = rows.map((row) => codec.decodePart(storedText(row["value"]), group));
    return outcomeOf(parts, size, saved);
  }

  #now(): number {
    return this.#options.clock.now();
  }

  async #write<T>(work: (db: Database) => T): Promise<T> {
    const db = this.#options.db();
    try {
      return await db.write(() => work(db), { wakes: true });
    } catch (error) {
      throw backendError(error, "counting the parts of a chord");
    }
  }
}

function storedText(value: SqlValue | undefined): StoredText {
  return value instanceof Uint8Array ? asBuffer(value) : readText(value);
}
