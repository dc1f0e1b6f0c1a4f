/** The example's PostgreSQL, when it goes away or hangs during a query. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DatabaseUnavailable } from "../../../examples/web/src/db/database.ts";
import { PostgresDatabase } from "../../../examples/web/src/db/postgres.ts";
import { eventually } from "../../support/eventually.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../../support/postgres.ts";

const ADVICE =
  "Start that server, or set DATABASE_URL to another one; without DATABASE_URL rows are in a SQLite file";
let server: PostgresServer;
const opened: PostgresDatabase[] = [];

beforeAll(async () => {
  if (postgresPrograms() !== null) server = await startPostgres();
});
afterAll(async () => {
  for (const one of opened) await one.close();
  await server?.stop();
});

function open(options = ""): PostgresDatabase {
  const one = new PostgresDatabase(server.url + options);
  opened.push(one);
  return one;
}

const away = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DatabaseUnavailable);
  return (error as Error).message;
};

describe.skipIf(postgresPrograms() === null).each([
  ["a query", (db: PostgresDatabase, sql: string) => db.query(sql)],
  ["a transaction", (db: PostgresDatabase, sql: string) => db.transaction((tx) => tx.query(sql))],
])("%s", (name, run) => {
  test("whose connection is ended is told as a database that is away; the next one has another", async () => {
    const db = open(`?application_name=${encodeURIComponent(name)}`);
    const told = away(run(db, "SELECT pg_sleep(60)"));
    const pid = await eventually("it sleeps", async () => {
      const { rows } = await server.pool.query<{ pid: number }>(
        "SELECT pid FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep'",
        [name],
      );
      return rows[0]?.pid;
    });
    await server.terminate(pid);
    expect(await told).toBe(
      `lost the connection to ${server.url}: terminating connection due to administrator command. ${ADVICE}`,
    );
    expect(await run(db, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  test("that hangs is not waited for, nor is its connection", async () => {
    const db = open("?query_timeout=300");
    const began = performance.now();
    expect(await away(run(db, "SELECT pg_sleep(60)"))).toBe(
      `lost the connection to ${server.url}: Query read timeout. ${ADVICE}`,
    );
    expect(performance.now() - began).toBeLessThan(5000);
    expect(await run(db, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });

  test("that the database refuses keeps its own error", async () => {
    await expect(run(open(), "SELECT * FROM nothing")).rejects.toMatchObject({ code: "42P01" });
  });
});

test.skipIf(postgresPrograms() === null)("10 s are waited where nothing else is said", async () => {
  const began = performance.now();
  await away(open().query("SELECT pg_sleep(60)"));
  const seconds = (performance.now() - began) / 1000;
  expect([seconds > 9.9, seconds < 15]).toEqual([true, true]);
});

test.skipIf(postgresPrograms() === null)("what else fails in a transaction keeps its own error", async () => {
  const db = open();
  const failed = new Error("no SQL");
  await expect(
    db.transaction(async () => {
      throw failed;
    }),
  ).rejects.toBe(failed);
});
