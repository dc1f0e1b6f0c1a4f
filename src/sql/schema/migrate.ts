/**
 * Makes Django's tables as Django would, and records that in django_migrations, so that a later `manage.py migrate` finds nothing
 * to do. One process at a time: by an advisory lock of PostgreSQL, by GET_LOCK of MySQL, by the lock of SQLite's file. On MySQL
 * each statement commits by itself; what an attempt that died has left is completed by the next one.
 */
import type { Kysely } from "kysely";
import { type Clock, systemClock } from "../../base/clock.ts";
import type { SqlDatabase } from "../database.ts";
import { SqlError } from "../errors.ts";
import type { Tables } from "../tables.ts";
import { sqlTime } from "../time.ts";
import type { SqlDialect } from "../url.ts";
import { type Ddl, type DjangoApp, MIGRATIONS } from "./apps.ts";
import { type AppState, inspect, obstacle } from "./inspect.ts";
import { MYSQL } from "./mysql.ts";
import { POSTGRESQL } from "./postgresql.ts";
import { SQLITE } from "./sqlite.ts";

const DDL: Readonly<Record<SqlDialect, Ddl>> = { postgresql: POSTGRESQL, mysql: MYSQL, sqlite: SQLITE };

const LOCK_SECONDS = 20;
/** Of PostgreSQL's advisory locks: "petiole" in hexadecimal. */
const LOCK_KEY = "31636748051115109";

export interface AppReport {
  readonly app: DjangoApp;
  /** Before. */
  readonly state: AppState;
  /** Tables that were made. */
  readonly made: readonly string[];
  /** Its migrations were recorded. */
  readonly recorded: boolean;
}

/** @throws SqlError */
export async function checkSchema(
  { db, dialect }: SqlDatabase,
  apps: readonly DjangoApp[],
): Promise<readonly AppReport[]> {
  const states = await inspect(db, dialect, DDL[dialect]);
  return apps.map((app) => ({ app, state: states[app], made: [], recorded: false }));
}

/**
 * All of it or, but for MySQL, nothing.
 *
 * @throws PetioleError `PET_SCHEMA` where Django's schema is older, or is not Django's; SqlError
 */
export function migrateSchema(
  database: SqlDatabase,
  apps: readonly DjangoApp[],
  clock: Clock = systemClock,
): Promise<readonly AppReport[]> {
  return locked(database, async (db) => {
    const ddl = DDL[database.dialect];
    const states = await inspect(db, database.dialect, ddl);
    for (const app of apps) {
      const error = obstacle(app, states[app]);
      if (error !== null) throw error;
    }
    const reports: AppReport[] = [];
    for (const app of apps) reports.push(await bring(db, { app, state: states[app], ddl, clock }));
    return reports;
  });
}

interface Bringing {
  readonly app: DjangoApp;
  readonly state: AppState;
  readonly ddl: Ddl;
  readonly clock: Clock;
}

async function bring(db: Kysely<Tables>, { app, state, ddl, clock }: Bringing): Promise<AppReport> {
  if (state.kind === "current") return { app, state, made: [], recorded: false };
  const tables = Object.entries(ddl.apps[app]);
  const made = tables.filter(([name]) => state.kind !== "unrecorded" || state.missing.includes(name));
  for (const statement of made.flatMap(([, statements]) => statements)) await execute(db, statement);
  await execute(db, ddl.migrations);
  const applied = sqlTime(clock.now());
  await db
    .insertInto("django_migrations")
    .values(MIGRATIONS[app].map((name) => ({ app, name, applied })))
    .execute();
  return { app, state, made: made.map(([name]) => name), recorded: true };
}

async function execute(
  db: Kysely<Tables>,
  statement: string,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const { CompiledQuery } = await import("kysely");
  return (await db.executeQuery<Readonly<Record<string, unknown>>>(CompiledQuery.raw(statement))).rows;
}

function locked<T>(database: SqlDatabase, work: (db: Kysely<Tables>) => Promise<T>): Promise<T> {
  const { db, dialect } = database;
  if (dialect === "sqlite") return db.transaction().execute(work);
  if (dialect === "postgresql") {
    return db.transaction().execute(async (tx) => {
      await execute(tx, `SET LOCAL lock_timeout = '${LOCK_SECONDS}s'`);
      await execute(tx, `SELECT pg_advisory_xact_lock(${LOCK_KEY})`);
      return work(tx);
    });
  }
  return db.connection().execute(async (connection) => {
    const name = "CONCAT('petiole:', SHA1(DATABASE()))";
    const [answer] = await execute(connection, `SELECT GET_LOCK(${name}, ${LOCK_SECONDS}) AS got`);
    if (answer?.["got"] !== 1) {
      throw new SqlError(
        database.redacted,
        { kind: "busy", outcome: "not sent", broken: false, advice: "run it again when that one has ended" },
        new Error(`another process has been making its tables for ${LOCK_SECONDS} s`),
      );
    }
    try {
      return await work(connection);
    } finally {
      // A connection that broke has given it back.
      await execute(connection, `SELECT RELEASE_LOCK(${name})`).catch(() => {});
    }
  });
}

const NOW: Readonly<Record<SqlDialect, string>> = {
  postgresql: "CURRENT_TIMESTAMP",
  mysql: "UTC_TIMESTAMP(6)",
  sqlite: "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
};

/** The statements for a database that has nothing of it, for a migration tool of the user's own. */
export function schemaSql(dialect: SqlDialect, apps: readonly DjangoApp[]): string {
  const ddl = DDL[dialect];
  const tables = apps.flatMap((app) => Object.values(ddl.apps[app]).flat());
  const records = apps.map((app) => {
    const rows = MIGRATIONS[app].map((name) => `  ('${app}', '${name}', ${NOW[dialect]})`);
    return `INSERT INTO django_migrations (app, name, applied) VALUES\n${rows.join(",\n")}`;
  });
  const statements = [...tables, ddl.migrations, ...records];
  const text = statements.map((one) => `${one};`).join("\n\n");
  return dialect === "mysql" ? `${text}\n` : `BEGIN;\n\n${text}\n\nCOMMIT;\n`;
}
