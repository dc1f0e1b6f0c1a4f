/**
 * Chords in a SQL database, in one transaction for the parts of a chord that end at the same time.
 *
 * Python counts in `chordcounter`, and so does this: workers of both kinds may end parts of one chord. What Python cannot
 * tell, which parts were counted, is in `petiole_chord_part`, so that a part that is delivered again counts once.
 *
 * | state    | chordcounter    | petiole_chord              | a part arrives                                           |
 * |----------|-----------------|----------------------------|----------------------------------------------------------|
 * | unknown  |                 | without `sub_tasks`        | it is noted                                              |
 * | counting | `count` to come | `claimed_until` null       | it is noted, `count` goes down by one; at 0 -> claimed   |
 * | claimed  |                 | `claimed_until`, a note    | nothing                                                  |
 * | ended    |                 | `ended` 1                  | nothing                                                  |
 *
 * A chord that Python ended has no counter: what arrives then is noted, and waits for ever. A `count` of 0 with parts
 * missing, which Python makes of a part that it counted twice, is put right.
 */
import { sql } from "../../sql/query.ts";
import type { ResultWrite } from "../backend.ts";
import {
  CHORD_LEASE_MS,
  type ChordOutcome,
  type ChordPart,
  type ChordStore,
  OVERDUE_COUNT,
  type OverdueChord,
  type PartWrite,
} from "../chords.ts";
import { backendError } from "../result-codec.ts";
import { type ChordParts, textOf } from "./chord-parts.ts";
import type { Dialect, OwnSchema, ResultDb } from "./own-tables.ts";
import { columnId } from "./rows.ts";
import { COUNTERS, databaseNow } from "./statements.ts";

export interface SqlChordsOptions {
  readonly db: ResultDb;
  readonly dialect: Dialect;
  readonly schema: OwnSchema;
  readonly parts: ChordParts;
  /** Stores results within a transaction. */
  readonly store: (db: ResultDb, writes: readonly ResultWrite[]) => Promise<void>;
}

/** A chord that begins. */
export interface NewChord {
  readonly group: string;
  readonly size: number;
  /** JSON, as `chordcounter.sub_tasks`. */
  readonly subTasks: string;
}

interface Counted {
  readonly part: PartWrite;
  readonly result: ResultWrite | null;
  readonly note: string;
  readonly resolve: (outcome: ChordOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface ChordRow {
  readonly sub_tasks: string | null;
  readonly claimed_until: number | null;
  readonly ended: number;
}

const WAITING: ChordOutcome = { kind: "waiting" };
/** Parts of one transaction. */
const PARTS = 200;

export class SqlChords implements ChordStore {
  readonly #options: SqlChordsOptions;
  /** By group: those that wait for the transaction under way. */
  readonly #waiting = new Map<string, Counted[]>();

  constructor(options: SqlChordsOptions) {
    this.#options = options;
  }

  encodePart(group: string, part: ChordPart, index: number | null): PartWrite {
    const text = this.#options.parts.encode(part);
    return { group, taskId: part.taskId, index, text };
  }

  count(
    part: PartWrite,
    { result, note }: { readonly result: ResultWrite | null; readonly note: string },
  ): Promise<ChordOutcome> {
    return new Promise((resolve, reject) => {
      const counted: Counted = { part, result, note, resolve, reject };
      const waiting = this.#waiting.get(part.group);
      if (waiting !== undefined) {
        waiting.push(counted);
        return;
      }
      this.#waiting.set(part.group, [counted]);
      void this.#drain(part.group);
    });
  }

  /** One transaction after the other, until nothing waits. Never rejects. */
  async #drain(group: string): Promise<void> {
    const waiting = this.#waiting.get(group) ?? [];
    while (waiting.length > 0) {
      const batch = waiting.splice(0, PARTS);
      try {
        await this.#options.schema.ensure();
        const outcome = await this.#transaction((db) => this.#countAll(db, group, batch));
        // The last of them has it.
        for (const [index, one] of batch.entries())
          one.resolve(index === batch.length - 1 ? outcome : WAITING);
      } catch (error) {
        const failure = backendError(error, "counting the parts of a chord");
        for (const one of batch) one.reject(failure);
      }
    }
    this.#waiting.delete(group);
  }

  async #countAll(db: ResultDb, group: string, batch: readonly Counted[]): Promise<ChordOutcome> {
    const results = batch.flatMap(({ result }) => result ?? []);
    // One for each id: the last is what is stored, but for a SUCCESS.
    for (const wave of wavesOf(results)) await this.#options.store(db, wave);
    const chord = await this.#lock(db, group);
    if (chord.ended !== 0) return WAITING;
    const fresh = await this.#note(
      db,
      group,
      batch.map(({ part }) => part),
    );
    if (chord.claimed_until !== null) return WAITING;
    const counter = await this.#counter(db, group);
    if (counter === null) return WAITING;
    if (counter.count - fresh > 0) {
      if (fresh > 0) await this.#setCount(db, group, counter.count - fresh);
      return WAITING;
    }
    return this.#claim(db, { group, subTasks: counter.sub_tasks, note: batch.at(-1)?.note ?? "" });
  }

  /** Unless parts are missing after all. */
  async #claim(
    db: ResultDb,
    { group, subTasks, note }: { readonly group: string; readonly subTasks: string; readonly note: string },
  ): Promise<ChordOutcome> {
    const { outcome, missing } = await this.#options.parts.outcome(db, group, subTasks);
    if (outcome.kind === "waiting") {
      await this.#setCount(db, group, Math.max(1, missing));
      return outcome;
    }
    await db.deleteFrom(COUNTERS).where("group_id", "=", columnId(group)).execute();
    await db
      .updateTable("petiole_chord")
      .set({ claimed_until: this.#after(CHORD_LEASE_MS), note, sub_tasks: subTasks })
      .where("group_id", "=", columnId(group))
      .execute();
    return outcome;
  }

  async push(): Promise<"elsewhere"> {
    return "elsewhere";
  }

  async end(group: string): Promise<void> {
    await this.#write("ending a chord", async (db) => {
      await this.#lock(db, group);
      const id = columnId(group);
      await db
        .updateTable("petiole_chord")
        .set({ ended: 1, claimed_until: null, note: null, sub_tasks: null })
        .where("group_id", "=", id)
        .execute();
      await db.deleteFrom("petiole_chord_part").where("group_id", "=", id).execute();
      await db.deleteFrom(COUNTERS).where("group_id", "=", id).execute();
    });
  }

  async extend(group: string, taskId: string): Promise<void> {
    await this.#write("making a chord longer", async (db) => {
      const chord = await this.#lock(db, group);
      if (chord.ended !== 0 || chord.claimed_until !== null) return;
      const id = columnId(group);
      const known = await db
        .selectFrom("petiole_chord_part")
        .select("task_id")
        .where("group_id", "=", id)
        .where("task_id", "=", columnId(taskId))
        .executeTakeFirst();
      if (known !== undefined) return;
      const part = { group_id: id, task_id: columnId(taskId), place: null, value: null };
      await db.insertInto("petiole_chord_part").values(part).execute();
      await db
        .updateTable(COUNTERS)
        .set((eb) => ({ count: eb("count", "+", 1) }))
        .where("group_id", "=", id)
        .execute();
    });
  }

  async overdue(): Promise<readonly OverdueChord[]> {
    const { db, dialect, schema } = this.#options;
    let found: readonly { readonly group_id: string }[];
    try {
      if (!(await schema.exists())) return [];
      found = await db
        .selectFrom("petiole_chord")
        .select("group_id")
        .where("claimed_until", "<=", databaseNow(dialect))
        .orderBy("claimed_until")
        .limit(OVERDUE_COUNT)
        .execute();
    } catch (error) {
      throw backendError(error, "looking for chords that nobody has ended");
    }
    const taken: OverdueChord[] = [];
    for (const { group_id } of found) {
      const one = await this.#write("taking a chord over", (inside) => this.#takeOver(inside, group_id));
      if (one !== null) taken.push(one);
    }
    return taken;
  }

  async #takeOver(db: ResultDb, group: string): Promise<OverdueChord | null> {
    const { dialect } = this.#options;
    const row = await forUpdate(
      db
        .selectFrom("petiole_chord")
        .select(["sub_tasks", "note"])
        .where("group_id", "=", group)
        .where("claimed_until", "<=", databaseNow(dialect)),
      dialect,
    ).executeTakeFirst();
    if (row === undefined) return null;
    const { outcome } = await this.#options.parts.outcome(db, group, row.sub_tasks ?? "[]");
    await db
      .updateTable("petiole_chord")
      .set({ claimed_until: this.#after(CHORD_LEASE_MS) })
      .where("group_id", "=", group)
      .execute();
    return outcome.kind === "waiting" ? null : { group, note: row.note ?? "", outcome };
  }

  /** Once for each chord: what sends it a second time changes nothing. Within a transaction. */
  async begin(db: ResultDb, { group, size, subTasks }: NewChord): Promise<void> {
    const chord = await this.#lock(db, group);
    if (chord.ended !== 0 || chord.sub_tasks !== null) return;
    const id = columnId(group);
    await db.updateTable("petiole_chord").set({ sub_tasks: subTasks }).where("group_id", "=", id).execute();
    const parts = await db
      .selectFrom("petiole_chord_part")
      .select((eb) => [eb.fn.countAll<number>().as("all"), eb.fn.count<number>("value").as("over")])
      .where("group_id", "=", id)
      .executeTakeFirstOrThrow();
    // Those that were announced meanwhile come on top.
    const added = parts.all - parts.over;
    const count = Math.max(0, size + added - parts.over);
    const insert = db.insertInto(COUNTERS).values({ group_id: id, sub_tasks: subTasks, count });
    const { dialect } = this.#options;
    await (dialect === "mysql" ? insert.ignore() : insert.onConflict((oc) => oc.doNothing())).execute();
  }

  /** The row of a chord, made when there is none, for this transaction alone. */
  async #lock(db: ResultDb, group: string): Promise<ChordRow> {
    const { dialect } = this.#options;
    const id = columnId(group);
    const touched = databaseNow(dialect);
    const insert = db.insertInto("petiole_chord").values({ group_id: id, ended: 0, touched });
    await (dialect === "mysql"
      ? insert.onDuplicateKeyUpdate({ touched })
      : insert.onConflict((conflict) => conflict.column("group_id").doUpdateSet({ touched }))
    ).execute();
    return db
      .selectFrom("petiole_chord")
      .select(["sub_tasks", "claimed_until", "ended"])
      .where("group_id", "=", id)
      .executeTakeFirstOrThrow();
  }

  /** How many of them were not there before. */
  async #note(db: ResultDb, group: string, parts: readonly PartWrite[]): Promise<number> {
    const id = columnId(group);
    const byTask = new Map<string, PartWrite>();
    for (const part of parts) {
      const task = columnId(part.taskId);
      if (!byTask.has(task)) byTask.set(task, part);
    }
    const known = await db
      .selectFrom("petiole_chord_part")
      .select(["task_id", sql<number>`CASE WHEN value IS NULL THEN 1 ELSE 0 END`.as("announced")])
      .where("group_id", "=", id)
      .where("task_id", "in", [...byTask.keys()])
      .execute();
    let fresh = 0;
    for (const { task_id, announced } of known) {
      const part = byTask.get(task_id);
      byTask.delete(task_id);
      if (part === undefined || announced === 0) continue;
      fresh += 1;
      await db
        .updateTable("petiole_chord_part")
        .set({ value: textOf(part), place: part.index })
        .where("group_id", "=", id)
        .where("task_id", "=", task_id)
        .execute();
    }
    if (byTask.size > 0) {
      const rows = [...byTask].map(([task_id, part]) => ({
        group_id: id,
        task_id,
        place: part.index,
        value: textOf(part),
      }));
      await db.insertInto("petiole_chord_part").values(rows).execute();
    }
    return fresh + byTask.size;
  }

  async #counter(
    db: ResultDb,
    group: string,
  ): Promise<{ readonly count: number; readonly sub_tasks: string } | null> {
    const select = db
      .selectFrom(COUNTERS)
      .select(["count", "sub_tasks"])
      .where("group_id", "=", columnId(group));
    return (await forUpdate(select, this.#options.dialect).executeTakeFirst()) ?? null;
  }

  async #setCount(db: ResultDb, group: string, count: number): Promise<void> {
    await db.updateTable(COUNTERS).set({ count }).where("group_id", "=", columnId(group)).execute();
  }

  #after(ms: number) {
    return sql<number>`${databaseNow(this.#options.dialect)} + ${ms}`;
  }

  async #write<T>(operation: string, work: (db: ResultDb) => Promise<T>): Promise<T> {
    try {
      await this.#options.schema.ensure();
      return await this.#transaction(work);
    } catch (error) {
      throw backendError(error, operation);
    }
  }

  #transaction<T>(work: (db: ResultDb) => Promise<T>): Promise<T> {
    return this.#options.db.transaction().execute(work);
  }
}

/** Of each id one in each. */
function wavesOf(writes: readonly ResultWrite[]): readonly (readonly ResultWrite[])[] {
  const waves: Map<string, ResultWrite>[] = [];
  for (const write of writes) {
    let wave = waves.find((one) => !one.has(write.key));
    if (wave === undefined) {
      wave = new Map();
      waves.push(wave);
    }
    wave.set(write.key, write);
  }
  return waves.map((wave) => [...wave.values()]);
}

/** SQLite's transactions have the database to themselves. */
function forUpdate<T extends { forUpdate(): T }>(query: T, dialect: Dialect): T {
  return dialect === "sqlite" ? query : query.forUpdate();
}
