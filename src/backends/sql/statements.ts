/** The statements on Django's tables of results. */

import { systemClock } from "../../base/clock.ts";
import { sqlTime } from "../../sql/index.ts";
import { type RawBuilder, sql } from "../../sql/query.ts";
import type { Dialect, OwnTables, ResultDb } from "./own-tables.ts";
import type { Content, ReadRow, TaskRow } from "./rows.ts";

/** Where PostgreSQL tells whose state was stored: the payload is the id. */
export const CHANNEL = "petiole_results";

const TASKS = "django_celery_results_taskresult";
const GROUPS = "django_celery_results_groupresult";
export const COUNTERS = "django_celery_results_chordcounter";

/** Rows of one INSERT, where statements are kept prepared: few sizes. */
const SIZES = [100, 10, 1] as const;
/** Ids of one SELECT. */
const READ_COUNT = 500;
/** Rows that one DELETE of expired ones takes. */
const EXPIRED_COUNT = 1000;

const COLUMNS = [
  "content_type",
  "content_encoding",
  "result",
  "date_done",
  "traceback",
  "meta",
  "task_args",
  "task_kwargs",
  "task_name",
  "worker",
  "periodic_task_name",
] as const;

/** Inserts or overwrites, a stored SUCCESS aside. Ids must differ. Who listens on {@link CHANNEL} is told with the commit. */
export async function storeTasks(db: ResultDb, dialect: Dialect, tasks: readonly TaskRow[]): Promise<void> {
  const now = sqlTime(systemClock.now());
  // In one order everywhere: two that store the same ones do not wait for each other.
  const rows = tasks.toSorted((a, b) => (a.task_id < b.task_id ? -1 : 1)).map((task) => rowOf(task, now));
  if (dialect === "postgresql") {
    const stored = upsert(db, dialect, rows).returning("task_id");
    await sql`WITH stored AS (${stored}) SELECT pg_notify(${CHANNEL}, task_id) FROM stored`.execute(db);
    return;
  }
  for (const part of inSizes(rows)) await upsert(db, dialect, part).execute();
}

type InsertedRow = ReturnType<typeof rowOf>;

function rowOf({ done, ...task }: TaskRow, now: string) {
  return {
    ...task,
    date_done: done ?? now,
    date_created: now,
    date_started: task.status === "STARTED" ? now : null,
  };
}

function upsert(db: ResultDb, dialect: Dialect, rows: readonly InsertedRow[]) {
  const insert = db.insertInto(TASKS).values(rows);
  if (dialect === "mysql") {
    const stays = sql`status = BINARY 'SUCCESS'`;
    const given = (name: string): RawBuilder<never> =>
      sql<never>`IF(${stays}, ${sql.ref(name)}, VALUES(${sql.ref(name)}))`;
    const started = sql<never>`IF(${stays}, date_started, COALESCE(VALUES(date_started), date_started))`;
    // In their order: the state is what the others look at.
    return insert.onDuplicateKeyUpdate({
      ...Object.fromEntries(COLUMNS.map((name) => [name, given(name)])),
      date_started: started,
      status: given("status"),
    });
  }
  return insert.onConflict((conflict) =>
    conflict
      .column("task_id")
      .doUpdateSet((eb) => ({
        ...Object.fromEntries(COLUMNS.map((name) => [name, eb.ref(`excluded.${name}`)])),
        status: eb.ref("excluded.status"),
        date_started: eb.fn.coalesce("excluded.date_started", `${TASKS}.date_started`),
      }))
      .where(`${TASKS}.status`, "!=", "SUCCESS"),
  );
}

function* inSizes<T>(rows: readonly T[]): Iterable<readonly T[]> {
  let at = 0;
  for (const size of SIZES) for (; rows.length - at >= size; at += size) yield rows.slice(at, at + size);
}

const TEXTS = ["result", "traceback", "meta", "task_args", "task_kwargs"] as const;

/** By id. The texts of a row that has more than `maxBytes` of them are left where they are. */
export async function readTasks(
  db: ResultDb,
  ids: readonly string[],
  maxBytes: number,
): Promise<ReadonlyMap<string, ReadRow>> {
  const found = new Map<string, ReadRow>();
  const size = sql<number>`${sql.join(
    TEXTS.map((name) => sql`COALESCE(OCTET_LENGTH(${sql.ref(name)}), 0)`),
    sql` + `,
  )}`;
  for (let at = 0; at < ids.length; at += READ_COUNT) {
    const rows = await db
      .selectFrom(TASKS)
      .select(["task_id", "status", "content_type", "content_encoding", "date_done", "task_name", "worker"])
      .select("periodic_task_name")
      .select(
        TEXTS.map((name) =>
          sql<string | null>`CASE WHEN ${size} <= ${maxBytes} THEN ${sql.ref(name)} END`.as(name),
        ),
      )
      .select(size.as("size"))
      .where("task_id", "in", ids.slice(at, at + READ_COUNT))
      .execute();
    for (const row of rows) found.set(row.task_id, row);
  }
  return found;
}

/** Overwrites. */
export async function storeGroup(
  db: ResultDb,
  dialect: Dialect,
  group: { readonly id: string; readonly content: Content },
): Promise<void> {
  const now = sqlTime(systemClock.now());
  const { text, type, encoding } = group.content;
  const given = { content_type: type, content_encoding: encoding, result: text, date_done: now };
  const insert = db.insertInto(GROUPS).values({ group_id: group.id, date_created: now, ...given });
  await (dialect === "mysql"
    ? insert.onDuplicateKeyUpdate(given)
    : insert.onConflict((conflict) => conflict.column("group_id").doUpdateSet(given))
  ).execute();
}

export type GroupRow = Pick<ReadRow, "content_type" | "content_encoding" | "result">;

export async function readGroup(db: ResultDb, id: string): Promise<GroupRow | null> {
  const columns = ["content_type", "content_encoding", "result"] as const;
  return (await db.selectFrom(GROUPS).select(columns).where("group_id", "=", id).executeTakeFirst()) ?? null;
}

export async function deleteGroup(db: ResultDb, id: string): Promise<void> {
  await db.deleteFrom(GROUPS).where("group_id", "=", id).execute();
}

export async function deleteTask(db: ResultDb, id: string): Promise<void> {
  await db.deleteFrom(TASKS).where("task_id", "=", id).execute();
}

/** Results and groups that ended before a time, a batch in each statement. How many they were. */
export async function deleteExpired(db: ResultDb, beforeMs: number, signal: AbortSignal): Promise<number> {
  let deleted = 0;
  for (const table of [TASKS, GROUPS] as const) {
    for (;;) {
      signal.throwIfAborted();
      const rows = await db
        .selectFrom(table)
        .select("id")
        .where("date_done", "<", sqlTime(beforeMs))
        .orderBy("id")
        .limit(EXPIRED_COUNT)
        .execute();
      if (rows.length === 0) break;
      const ids = rows.map((row) => row.id);
      await db.deleteFrom(table).where("id", "in", ids).where("date_done", "<", sqlTime(beforeMs)).execute();
      deleted += rows.length;
    }
  }
  return deleted;
}

/** Chords and logs of Petiole's own that nobody has touched since a time. */
export async function deleteOwnExpired(db: ResultDb, beforeMs: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    const chords = await db
      .selectFrom("petiole_chord")
      .select("group_id")
      .where("touched", "<", beforeMs)
      .limit(EXPIRED_COUNT)
      .execute();
    if (chords.length === 0) break;
    const ids = chords.map((row) => row.group_id);
    await db.deleteFrom("petiole_chord_part").where("group_id", "in", ids).execute();
    await db
      .deleteFrom("petiole_chord")
      .where("group_id", "in", ids)
      .where("touched", "<", beforeMs)
      .execute();
    await db.deleteFrom(COUNTERS).where("group_id", "in", ids).execute();
  }
  await db.deleteFrom("petiole_task_log").where("touched", "<", beforeMs).execute();
}

/** The database's clock, ms since the epoch. */
export function databaseNow(dialect: Dialect): RawBuilder<number> {
  if (dialect === "postgresql")
    return sql<number>`CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS bigint)`;
  if (dialect === "mysql") return sql<number>`CAST(UNIX_TIMESTAMP(NOW(6)) * 1000 AS SIGNED)`;
  // Whose processes share a host.
  return sql<number>`${systemClock.now()}`;
}

export async function readNow(db: ResultDb, dialect: Dialect): Promise<number> {
  const { rows } = await sql<{ ms: number }>`SELECT ${databaseNow(dialect)} AS ms`.execute(db);
  return rows[0]?.ms ?? systemClock.now();
}

export async function readLog(db: ResultDb, id: string): Promise<string | null> {
  const select = db.selectFrom("petiole_task_log").select("content").where("task_id", "=", id);
  return (await select.executeTakeFirst())?.content ?? null;
}

export async function deleteLog(db: ResultDb, id: string): Promise<void> {
  await db.deleteFrom("petiole_task_log").where("task_id", "=", id).execute();
}

export async function storeLog(
  db: ResultDb,
  dialect: Dialect,
  log: { readonly id: string; readonly text: string },
): Promise<void> {
  const given = { content: log.text, touched: databaseNow(dialect) } satisfies Partial<
    Record<keyof OwnTables["petiole_task_log"], unknown>
  >;
  const insert = db.insertInto("petiole_task_log").values({ task_id: log.id, ...given });
  await (dialect === "mysql"
    ? insert.onDuplicateKeyUpdate(given)
    : insert.onConflict((conflict) => conflict.column("task_id").doUpdateSet(given))
  ).execute();
}
