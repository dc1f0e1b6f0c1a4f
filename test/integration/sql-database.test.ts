/** One suite over the three databases: what is stored is read back alike, and errors mean the same. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Kysely, sql } from "kysely";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { idsOf } from "../../scripts/lib/postgres.mjs";
import { openDatabase, type SqlDatabase, SqlError, sqlTime } from "../../src/sql/index.ts";
import { makeCertificate } from "../support/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { type MariadbServer, startMariadb } from "../support/mariadb.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";

type Probe = {
  readonly probe: {
    readonly id: number;
    readonly name: string;
    readonly enabled: boolean;
    readonly at: string | null;
    readonly latitude: number | null;
    readonly size: number | null;
  };
};

const TYPES = {
  postgresql:
    "id integer primary key, name varchar(20) unique, enabled boolean, at timestamptz, latitude numeric(9,6), size bigint",
  mysql:
    "id integer primary key, name varchar(20) unique, enabled bool, at datetime(6), latitude numeric(9,6), size bigint",
  sqlite:
    "id integer primary key, name varchar(20) unique, enabled bool, at datetime, latitude decimal, size bigint",
} as const;

function suite(urlOf: () => string): void {
  let opened: SqlDatabase;
  let db: Kysely<Probe>;
  beforeAll(async () => {
    opened = await openDatabase(urlOf());
    db = opened.db.withTables<Probe>();
    await sql`create table probe (${sql.raw(TYPES[opened.dialect])})`.execute(db);
  });
  afterAll(() => opened.close());

  const row = (id: number, name = `row ${id}`) => ({
    id,
    name,
    enabled: true,
    at: "2026-11-30 17:05:29.000001",
    latitude: 59.437,
    size: 2 ** 40,
  });

  test("values come back as they went in: time to the microsecond, truth, decimals, large numbers, null", async () => {
    const rows = [
      row(1, "grüße 🎉 \\' \" %"),
      { ...row(2), enabled: false, at: "2026-03-29 01:59:59", latitude: -179.999999 },
      { ...row(3), at: null, latitude: null, size: null },
    ];
    await db.insertInto("probe").values(rows).execute();
    expect(await db.selectFrom("probe").selectAll().orderBy("id").execute()).toEqual(rows);
    const found = await db
      .selectFrom("probe")
      .select("id")
      .where("at", "=", "2026-11-30 17:05:29.000001")
      .where("enabled", "=", true)
      .limit(5)
      .execute();
    expect(found).toEqual([{ id: 1 }]);
    const { n } = await db.selectFrom("probe").select(db.fn.countAll().as("n")).executeTakeFirstOrThrow();
    expect(n).toBe(3);
  });

  test("an update answers the rows that it matched, also where nothing of them changed", async () => {
    await db
      .insertInto("probe")
      .values([row(10), row(11)])
      .execute();
    const update = db.updateTable("probe").set({ enabled: true }).where("id", "in", [10, 11, 12]);
    expect((await update.executeTakeFirst()).numUpdatedRows).toBe(2n);
    expect((await db.deleteFrom("probe").where("id", "=", 11).executeTakeFirst()).numDeletedRows).toBe(1n);
  });

  test("a value that is there already is a conflict, and a table that is not there is missing", async () => {
    await db.insertInto("probe").values(row(20)).execute();
    const twice = await refusal(db.insertInto("probe").values(row(21, "row 20")).execute());
    expect(twice).toMatchObject({
      kind: "conflict",
      code: "PET_DATABASE_REFUSED",
      outcome: "not sent",
      retriable: false,
    });
    const missing = await refusal(
      opened.db.selectFrom("django_celery_beat_periodictask").selectAll().execute(),
    );
    expect(missing).toMatchObject({ kind: "missing", code: "PET_SCHEMA" });
    expect(missing.message).toContain("petiole db migrate");
    expect((await refusal(sql`selec 1`.execute(db))).kind).toBe("refused");
  });

  test("a transaction is stored as a whole or not at all", async () => {
    await db.transaction().execute(async (tx) => {
      await tx.insertInto("probe").values(row(30)).execute();
      await tx.insertInto("probe").values(row(31)).execute();
    });
    const failing = db.transaction().execute(async (tx) => {
      await tx.insertInto("probe").values(row(32)).execute();
      throw new Error("changed its mind");
    });
    await expect(failing).rejects.toThrow("changed its mind");
    const rows = await db
      .selectFrom("probe")
      .select("id")
      .where("id", ">=", 30)
      .where("id", "<", 40)
      .orderBy("id")
      .execute();
    expect(rows.map(({ id }) => id)).toEqual([30, 31]);
  });

  test("once closed it says so", async () => {
    const other = await openDatabase(urlOf());
    await other.close();
    await other.close();
    await expect(sql`select 1`.execute(other.db)).rejects.toMatchObject({ code: "PET_CLOSED" });
  });
}

async function refusal(promise: Promise<unknown>): Promise<SqlError> {
  const error = await promise.then(
    () => new Error("nothing was refused"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof SqlError)) throw error;
  return error;
}

describe("PostgreSQL", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
  }, 60_000);
  afterAll(() => server.stop());
  suite(() => server.url);

  test("a connection that is ended within a transaction: nothing of it is stored, and the next one is made", async () => {
    const opened = await openDatabase(server.url);
    const ended = refusal(
      opened.db.transaction().execute(async (tx) => {
        const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx);
        await server.terminate(rows[0]?.pid ?? 0);
        await sql`select 1`.execute(tx);
      }),
    );
    expect(await ended).toMatchObject({ kind: "unreachable", outcome: "not sent", retriable: true });
    expect((await sql`select 1 as one`.execute(opened.db)).rows).toEqual([{ one: 1 }]);
    await opened.close();
  });

  test("over TLS its certificate is verified", async () => {
    const ask = async (options: string): Promise<unknown> => {
      const opened = await openDatabase(`${server.url}?${options}`);
      try {
        const status = sql<{ ssl: boolean }>`select ssl from pg_stat_ssl where pid = pg_backend_pid()`;
        return (await status.execute(opened.db)).rows[0]?.ssl;
      } finally {
        await opened.close();
      }
    };
    const noTls = await refusal(ask("sslmode=require"));
    expect(noTls.kind).toBe("refused");
    expect(noTls.message).toContain("the server has no TLS");

    const { rows } = await server.pool.query<{ data_directory: string }>("SHOW data_directory");
    const { certFile, keyFile } = makeCertificate(
      rows[0]?.data_directory ?? "",
      process.getuid?.() === 0 ? idsOf("postgres") : {},
    );
    await server.pool.query(`ALTER SYSTEM SET ssl_cert_file = '${certFile}'`);
    await server.pool.query(`ALTER SYSTEM SET ssl_key_file = '${keyFile}'`);
    await server.pool.query("ALTER SYSTEM SET ssl = on");
    await server.pool.query("SELECT pg_reload_conf()");
    await eventually("it serves TLS", () => ask("sslmode=no-verify").catch(() => false) as Promise<boolean>);
    expect(await ask("connect_timeout=5")).toBe(false);
    expect(await ask(`sslmode=verify-full&sslrootcert=${certFile}`)).toBe(true);
    const error = await refusal(ask("sslmode=require"));
    expect(error).toMatchObject({ kind: "refused", outcome: "not sent" });
    expect(error.message).toContain("name its authority in the URL");
  });

  test("a commit that cannot store is told: a caught error of a statement does not hide it", async () => {
    const opened = await openDatabase(server.url);
    const caught = opened.db.transaction().execute(async (tx) => {
      await sql`selec 1`.execute(tx).catch(() => {});
    });
    await expect(caught).rejects.toThrow("nothing is stored");
    await opened.close();
  });

  test("a statement that takes too long is given up, and its connection with it", async () => {
    const opened = await openDatabase(server.url, { statementTimeoutMs: 50, poolSize: 1 });
    const slow = await refusal(sql`select pg_sleep(10)`.execute(opened.db));
    expect(slow).toMatchObject({ kind: "unreachable", outcome: "unknown" });
    expect((await sql`select 1 as one`.execute(opened.db)).rows).toEqual([{ one: 1 }]);
    await opened.close();
  });
});

describe("MariaDB", () => {
  let server: MariadbServer;
  beforeAll(async () => {
    server = await startMariadb({ tls: true });
  }, 60_000);
  afterAll(() => server.stop());
  suite(() => server.url);

  test("over TLS its certificate is verified", async () => {
    const ask = async (options: string): Promise<unknown> => {
      const opened = await openDatabase(`${server.url}?${options}`);
      try {
        const status = sql<{ Value: string }>`show session status like 'Ssl_cipher'`;
        return (await status.execute(opened.db)).rows[0]?.Value;
      } finally {
        await opened.close();
      }
    };
    expect(await ask("charset=utf8mb4")).toBe("");
    expect(await ask(`ssl_ca=${server.caFile}`)).toContain("TLS");
    expect(await ask("ssl_verify_cert=false")).toContain("TLS");
    const error = await refusal(ask("ssl=true"));
    expect(error).toMatchObject({ kind: "refused", outcome: "not sent" });
    expect(error.message).toContain("name its authority in the URL");
  });

  test("it is reached by its socket too", async () => {
    const opened = await openDatabase(
      `mysql://petiole:SECRET@localhost/petiole?unix_socket=${server.socket}`,
    );
    expect((await sql`select 1 as one`.execute(opened.db)).rows).toEqual([{ one: 1 }]);
    await opened.close();
  });

  test("a wrong password is refused, and neither it nor the URL's is told", async () => {
    const opened = await openDatabase(server.url.replace("SECRET", "WRONG"));
    const error = await refusal(sql`select 1`.execute(opened.db));
    expect(error).toMatchObject({ kind: "refused", retriable: false });
    expect(error.message).toContain("petiole:**@");
    expect(error.message).not.toContain("WRONG");
    await opened.close();
  });

  test("a connection that is killed within a transaction: nothing of it is stored, and the next one is made", async () => {
    const opened = await openDatabase(server.url, { poolSize: 1 });
    const killed = refusal(
      opened.db.transaction().execute(async (tx) => {
        const { rows } = await sql<{ id: number }>`select connection_id() as id`.execute(tx);
        await server.pool.query(`KILL ${rows[0]?.id ?? 0}`);
        await sql`select 1`.execute(tx);
      }),
    );
    expect(await killed).toMatchObject({ kind: "unreachable", outcome: "not sent" });
    expect((await sql`select 1 as one`.execute(opened.db)).rows).toEqual([{ one: 1 }]);
    await opened.close();
  });
});

describe("SQLite", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "petiole-sql-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  suite(() => `sqlite:///${folder}/a b.db`);

  test("a lock that another connection has is waited for without blocking, and given up in time", async () => {
    const url = `sqlite:///${folder}/lock.db`;
    const [one, two] = [await openDatabase(url), await openDatabase(url, { statementTimeoutMs: 20 })];
    await sql`create table t (id integer)`.execute(one.db);
    await one.db.transaction().execute(async (tx) => {
      await sql`insert into t values (1)`.execute(tx);
      const busy = await refusal(sql`insert into t values (2)`.execute(two.db));
      expect(busy).toMatchObject({ kind: "busy", outcome: "not sent", retriable: true });
    });
    await sql`insert into t values (3)`.execute(two.db);
    expect((await sql`select id from t order by id`.execute(one.db)).rows).toEqual([{ id: 1 }, { id: 3 }]);
    await one.close();
    await two.close();
  });
});

test("nothing listens: unreachable, and nothing was sent", async () => {
  for (const url of ["postgresql://u:SECRET@127.0.0.1:1/x", "mysql://u:SECRET@127.0.0.1:1/x"]) {
    const opened = await openDatabase(url);
    const error = await refusal(sql`select 1`.execute(opened.db));
    expect(error).toMatchObject({
      kind: "unreachable",
      outcome: "not sent",
      code: "PET_DATABASE_UNREACHABLE",
    });
    expect(error.message).not.toContain("SECRET");
    await opened.close();
  }
});

test("a time of Node's clock is written as Django writes it", () => {
  expect(sqlTime(Date.UTC(2026, 10, 30, 17, 5, 29))).toBe("2026-11-30 17:05:29");
  expect(sqlTime(Date.UTC(2026, 10, 30, 17, 5, 29, 7))).toBe("2026-11-30 17:05:29.007000");
});
