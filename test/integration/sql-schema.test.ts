/** The tables that `petiole db migrate` makes, on the three databases. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CompiledQuery } from "kysely";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  checkSchema,
  DJANGO_APPS,
  migrateSchema,
  openDatabase,
  type SqlDatabase,
  schemaSql,
} from "../../src/sql/index.ts";
import { MIGRATIONS } from "../../src/sql/schema/apps.ts";
import { columnsOf } from "../../src/sql/schema/inspect.ts";
import { MYSQL } from "../../src/sql/schema/mysql.ts";
import { POSTGRESQL } from "../../src/sql/schema/postgresql.ts";
import { SQLITE } from "../../src/sql/schema/sqlite.ts";
import { type MariadbServer, startMariadb } from "../support/mariadb.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { postgresSchema, recordedPostgresSchema, schemaOf } from "../support/sql-schema.ts";
import { makeProject, petiole, petioleRun } from "./cli-support.ts";

let postgres: PostgresServer;
let mariadb: MariadbServer;
let folder: string;
let count = 0;
beforeAll(async () => {
  [postgres, mariadb] = await Promise.all([startPostgres(), startMariadb()]);
  folder = mkdtempSync(join(tmpdir(), "petiole-sql-"));
}, 60_000);
afterAll(async () => {
  await Promise.all([postgres.stop(), mariadb.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

const emptyDatabase = {
  PostgreSQL: () => postgres.createDatabase(`db${++count}`),
  MariaDB: () => mariadb.createDatabase(`db${++count}`),
  SQLite: async () => `sqlite:///${folder}/db${++count}.db`,
} as const;

async function run({ db }: SqlDatabase, ...statements: readonly string[]): Promise<void> {
  for (const one of statements) await db.executeQuery(CompiledQuery.raw(one));
}

const kindsOf = async (database: SqlDatabase): Promise<readonly string[]> =>
  (await checkSchema(database, DJANGO_APPS)).map(({ state }) => state.kind);

describe.each(["PostgreSQL", "MariaDB", "SQLite"] as const)("%s", (name) => {
  let url: string;
  let database: SqlDatabase;
  beforeEach(async () => {
    url = await emptyDatabase[name]();
    database = await openDatabase(url);
    return () => database.close();
  });

  test("it makes the tables, records Django's migrations, and finds nothing to do after", async () => {
    expect(await kindsOf(database)).toEqual(["absent", "absent"]);
    const [results, beat] = await migrateSchema(database, DJANGO_APPS);
    expect(results).toMatchObject({ app: "django_celery_results", recorded: true });
    expect([results?.made.length, beat?.made.length]).toEqual([3, 6]);
    const records = await database.db
      .selectFrom("django_migrations")
      .select(["app", "name", "applied"])
      .execute();
    expect(records.map(({ app, name: of }) => `${app}.${of}`)).toEqual(
      DJANGO_APPS.flatMap((app) => MIGRATIONS[app].map((of) => `${app}.${of}`)),
    );
    expect(Math.abs(Date.parse(`${records[0]?.applied}Z`) - Date.now())).toBeLessThan(300_000);
    const before = await (name === "PostgreSQL" ? postgresSchema(url) : schemaOf(url));
    expect(await migrateSchema(database, DJANGO_APPS)).toMatchObject([
      { made: [], recorded: false },
      { made: [], recorded: false },
    ]);
    expect(await (name === "PostgreSQL" ? postgresSchema(url) : schemaOf(url))).toEqual(before);
  });

  test("of several processes at once one makes them", async () => {
    const others = await Promise.all([1, 2, 3].map(() => openDatabase(url)));
    const reports = await Promise.all(others.map((one) => migrateSchema(one, DJANGO_APPS)));
    expect(reports.filter(([results]) => results?.recorded)).toHaveLength(1);
    await Promise.all(others.map((one) => one.close()));
  });

  test("the statements of --sql make the same", async () => {
    await migrateSchema(database, DJANGO_APPS);
    const otherUrl = await emptyDatabase[name]();
    const other = await openDatabase(otherUrl, { poolSize: 1 });
    const text = schemaSql(other.dialect, DJANGO_APPS);
    await run(other, ...text.split(/;\s*\n/).filter((one) => one.trim() !== ""));
    expect(await kindsOf(other)).toEqual(["current", "current"]);
    await other.close();
    const schema = name === "PostgreSQL" ? postgresSchema : schemaOf;
    expect(await schema(otherUrl)).toEqual(await schema(url));
  });

  test("what Django has migrated in part is left alone, and so is what is not as Django leaves it", async () => {
    await migrateSchema(database, ["django_celery_results"]);
    await run(database, "DELETE FROM django_migrations WHERE name = '0014_alter_taskresult_status'");
    await expect(migrateSchema(database, DJANGO_APPS)).rejects.toMatchObject({
      code: "PET_SCHEMA",
      message: expect.stringContaining("python manage.py migrate django_celery_results"),
    });
    // Not even what could have been made.
    expect(await kindsOf(database)).toEqual(["behind", "absent"]);
    await run(
      database,
      "DELETE FROM django_migrations",
      "ALTER TABLE django_celery_results_chordcounter DROP COLUMN sub_tasks",
    );
    await expect(migrateSchema(database, DJANGO_APPS)).rejects.toThrow(
      "django_celery_results_chordcounter lacks sub_tasks",
    );
    expect(await kindsOf(database)).toEqual(["different", "absent"]);
  });

  test("tables that nobody recorded are completed and recorded; a later Django is not taken back", async () => {
    await migrateSchema(database, DJANGO_APPS);
    await run(
      database,
      "DELETE FROM django_migrations WHERE app = 'django_celery_results'",
      "DROP TABLE django_celery_results_groupresult",
      "INSERT INTO django_migrations (app, name, applied) VALUES ('django_celery_beat', '0099_later', '2030-01-01 00:00:00')",
    );
    expect(await migrateSchema(database, DJANGO_APPS)).toMatchObject([
      { state: { kind: "unrecorded" }, made: ["django_celery_results_groupresult"], recorded: true },
      { state: { kind: "current", newer: ["0099_later"] }, made: [], recorded: false },
    ]);
    await run(database, "DROP TABLE django_celery_results_groupresult");
    await expect(migrateSchema(database, DJANGO_APPS)).rejects.toThrow("is recorded, but not there");
  });
});

test("on PostgreSQL pg_dump says of them what it says of Django's", async () => {
  const url = await emptyDatabase.PostgreSQL();
  const database = await openDatabase(url);
  await migrateSchema(database, DJANGO_APPS);
  await database.close();
  expect(postgresSchema(url)).toEqual(recordedPostgresSchema());
});

test("the three know the same tables and columns", () => {
  const shape = ({ apps }: typeof MYSQL): unknown =>
    Object.values(apps).map((tables) =>
      Object.entries(tables)
        .map(([name, [statement = ""]]) => `${name}: ${columnsOf(statement).toSorted().join(" ")}`)
        .sort(),
    );
  expect(shape(MYSQL)).toEqual(shape(POSTGRESQL));
  expect(shape(SQLITE)).toEqual(shape(POSTGRESQL));
  expect(columnsOf(MYSQL.apps.django_celery_beat["django_celery_beat_solarschedule"]?.[0] ?? "")).toEqual([
    "id",
    "event",
    "latitude",
    "longitude",
  ]);
});

describe("petiole db migrate", () => {
  test("on the database of the app's results: checks, makes, checks again", async () => {
    const project = makeProject();
    const url = (await emptyDatabase.PostgreSQL()).replace("petiole@", "petiole:SECRET@");
    project.write(
      "tasks.mjs",
      `import { Celery } from ${petiole};\nexport const app = new Celery("shop", { brokerUrl: "memory://", databaseUrl: "${url}" });\n`,
    );
    const db = (...words: readonly string[]) =>
      petioleRun(["-A", "tasks.mjs", "db", "migrate", ...words], { cwd: project.dir });
    const missing = await db("--check");
    expect(missing).toMatchObject({ code: 1, err: "" });
    expect(missing.out).toContain("petiole:**@");
    expect(missing.out).toContain("django_celery_beat: nothing is there: run petiole db migrate");
    expect(JSON.parse((await db("--only", "results", "--json")).out)).toMatchObject({
      apps: [{ app: "django_celery_results", state: "absent", recorded: true }],
      petiole: "made",
    });
    expect((await db("--check")).out).toContain("petiole: its own tables are there");
    expect((await db()).out).toContain("django_celery_results: nothing to do\n  django_celery_beat: made ");
    expect(await db("--check")).toMatchObject({
      code: 0,
      out: expect.stringContaining("django_celery_beat: complete"),
    });
    project.remove();
  });

  test("--sql needs no server; without a database, or with a wrong one, it says what to give", async () => {
    const project = makeProject();
    const db = (...words: readonly string[]) => petioleRun(["db", "migrate", ...words], { cwd: project.dir });
    const printed = await db("--sql", "--database", "mysql://h/x", "--only", "beat");
    expect(printed).toMatchObject({ code: 0, err: "", out: schemaSql("mysql", ["django_celery_beat"]) });
    const results = await db("--sql", "--database", "sqlite:///x.db", "--only", "results");
    expect(results.out).toContain("CREATE TABLE IF NOT EXISTS petiole_chord ");
    // Petiole's own file is no database of Django's tables.
    const none = await petioleRun(["--result-backend", "sqlite:///x.db", "db", "migrate"], {
      cwd: project.dir,
    });
    expect(none).toMatchObject({ code: 64, err: expect.stringContaining("--database postgresql://") });
    const away = await db("--database", "postgresql://ann:SECRET@127.0.0.1:1/shop");
    expect(away).toMatchObject({
      code: 69,
      err: expect.stringMatching(/^petiole db: .*PET_DATABASE_UNREACHABLE/s),
    });
    expect(away.err).not.toContain("SECRET");
    project.remove();
  });
});
