/** Tasks that wait for a commit, on a real PostgreSQL and on SQLite: one suite for both. */
import { Celery } from "petiole";
import { onCommit, transaction } from "petiole/transactions";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Handle, loadDriver } from "../../src/sqlite/driver.ts";
import { eventually } from "../support/eventually.ts";
import { type PostgresServer, postgresPrograms, startPostgres } from "../support/postgres.ts";

const logged: { readonly message: string; readonly fields: object }[] = [];
const note = (fields: object, message: string): void => void logged.push({ message, fields });
const logger = { debug: () => {}, info: () => {}, warn: note, error: note, child: () => logger };

let app: Celery;
/** What was sent, as its signal tells it: the argument of each. */
let sent: unknown[];
/** What the table held as each was sent, read on another connection. */
let seen: unknown[];
let count = 0;

beforeEach(() => {
  sent = [];
  seen = [];
  logged.length = 0;
  count += 1;
  app = new Celery("shop", { brokerUrl: `memory://transactions-${count}`, logger });
});
afterEach(() => app.close());

/** What the suite needs of a database: statements in a transaction, and rows as another connection sees them. */
interface Rig {
  transaction<R>(fn: (insert: (id: number) => Promise<void>) => Promise<R> | R): Promise<R>;
  rows(): Promise<number[]>;
}

function suite(rigOf: () => Rig): void {
  const setup = () => {
    const rig = rigOf();
    const welcome = app.task("shop.welcome", async (id: number) => id);
    app.signals.beforeTaskPublish.connect(async ({ args }) => {
      sent.push(args[0]);
      seen.push(await rig.rows());
    });
    return { rig, welcome };
  };

  test("sent when the rows are there, in order; the id is known at once", async () => {
    const { rig, welcome } = setup();
    const ids = await rig.transaction(async (insert) => {
      await insert(1);
      const handles = [welcome.delayOnCommit(1), welcome.applyAsyncOnCommit([2], { taskId: "my-id" })];
      await new Promise((resolve) => setImmediate(resolve));
      expect(sent).toEqual([]);
      return handles.map(({ id }) => id);
    });
    expect(ids).toEqual([expect.stringMatching(/^[\da-f-]{36}$/), "my-id"]);
    expect([sent, seen]).toEqual([
      [1, 2],
      [[1], [1]],
    ]);
  });

  test("dropped with a rollback, and the error is the function's", async () => {
    const { rig, welcome } = setup();
    const failing = rig.transaction(async (insert) => {
      await insert(1);
      welcome.delayOnCommit(1);
      throw new TypeError("no stock");
    });
    await expect(failing).rejects.toThrow(TypeError);
    expect([sent, await rig.rows()]).toEqual([[], []]);
  });

  test("outside of a transaction sent at once, after it too", async () => {
    const { rig, welcome } = setup();
    let late: () => void = () => {};
    welcome.delayOnCommit(1);
    // Of its rows too: what they are read with is given back then.
    await eventually("it was sent", () => seen.length === 1);
    await rig.transaction(() => {
      late = () => void welcome.delayOnCommit(2);
    });
    late();
    await eventually("it was sent", () => seen.length === 2);
    expect(sent).toEqual([1, 2]);
  });

  test("a savepoint takes its own with it, and no others; a released one waits for the whole", async () => {
    const { rig, welcome } = setup();
    await rig.transaction(async (insert) => {
      await insert(1);
      welcome.delayOnCommit(1);
      const failing = rig.transaction(async (inner) => {
        await inner(2);
        welcome.delayOnCommit(2);
        await rig.transaction(async (innermost) => {
          await innermost(3);
          welcome.delayOnCommit(3);
        });
        throw new TypeError("not this part");
      });
      await expect(failing).rejects.toThrow("not this part");
      await rig.transaction(async (inner) => {
        await inner(4);
        welcome.delayOnCommit(4);
      });
      welcome.delayOnCommit(5);
      expect(sent).toEqual([]);
    });
    expect([sent, await rig.rows()]).toEqual([
      [1, 4, 5],
      [1, 4],
    ]);
  });

  test("savepoints at once are one after the other, also those that nobody waited for", async () => {
    const { rig, welcome } = setup();
    const save = (id: number, fails: boolean): Promise<void> =>
      rig.transaction(async (insert) => {
        await insert(id);
        welcome.delayOnCommit(id);
        await new Promise((resolve) => setImmediate(resolve));
        if (fails) throw new Error(`no ${id}`);
      });
    await rig.transaction(() => {
      void Promise.allSettled([save(1, false), save(2, true), save(3, false)]);
    });
    expect([sent, await rig.rows()]).toEqual([
      [1, 3],
      [1, 3],
    ]);
  });

  test("transactions at once keep to their own", async () => {
    const { rig, welcome } = setup();
    const one = (id: number): Promise<void> =>
      rig.transaction(async (insert) => {
        await insert(id);
        welcome.delayOnCommit(id);
        await new Promise((resolve) => setImmediate(resolve));
        if (id % 2 === 0) throw new Error("even");
      });
    await Promise.allSettled([1, 2, 3, 4, 5, 6].map(one));
    expect(sent.toSorted((a, b) => Number(a) - Number(b))).toEqual([1, 3, 5]);
  });

  test("an error after the commit is logged and the others go on; with robust: false it is thrown, after them", async () => {
    const { rig, welcome } = setup();
    const ran: number[] = [];
    const big = (() => 1) as never;
    await rig.transaction(() => {
      welcome.delayOnCommit(big);
      onCommit(() => void ran.push(1));
    });
    expect(ran).toEqual([1]);
    expect(logged).toEqual([
      {
        message: "a task that waited for a commit could not be sent",
        fields: expect.objectContaining({ task: "shop.welcome" }),
      },
    ]);
    const failing = rig.transaction(() => {
      welcome.applyAsyncOnCommit([big], { robust: false });
      onCommit(() => void ran.push(2));
      return "committed";
    });
    await expect(failing).rejects.toThrow(/./);
    expect(ran).toEqual([1, 2]);
  });

  test("arguments that cannot travel as they stand are told at once", async () => {
    const { rig, welcome } = setup();
    const failing = rig.transaction(
      () => void welcome.delayOnCommit(...([undefined, 1] as never as [number])),
    );
    await expect(failing).rejects.toThrow(/argument 1 of shop\.welcome is undefined/);
  });
}

describe("on SQLite", () => {
  let database: Handle;
  beforeEach(async () => {
    const open = await loadDriver();
    database = open(":memory:", { timeout: 1000 });
    database.exec("CREATE TABLE users (id INTEGER PRIMARY KEY)");
  });
  afterEach(() => database.close());
  suite(() => ({
    transaction: (fn) =>
      transaction(database, (db) =>
        fn(async (id) => void db.prepare("INSERT INTO users VALUES (?)").run(id)),
      ),
    rows: async () =>
      database
        .prepare("SELECT id FROM users ORDER BY id")
        .all()
        .map(({ id }) => Number(id)),
  }));

  test("a commit that fails sends nothing", async () => {
    database.exec("PRAGMA foreign_keys = ON");
    database.exec("CREATE TABLE orders (user REFERENCES users (id) DEFERRABLE INITIALLY DEFERRED)");
    let ran = false;
    const failing = transaction(database, (db) => {
      db.exec("INSERT INTO orders VALUES (7)");
      onCommit(() => {
        ran = true;
      });
    });
    await expect(failing).rejects.toThrow(/FOREIGN KEY/);
    expect(ran).toBe(false);
    await transaction(database, (db) => db.exec("INSERT INTO users VALUES (8)"));
  });
});

describe.skipIf(postgresPrograms() === null)("on PostgreSQL (skipped where it is not installed)", () => {
  let server: PostgresServer;
  beforeAll(async () => {
    server = await startPostgres();
    await server.pool.query("CREATE TABLE users (id integer PRIMARY KEY)");
  });
  afterAll(() => server?.stop());
  afterEach(async () => {
    await server.pool.query("DELETE FROM users");
    const { idleCount, totalCount } = server.pool;
    if (idleCount !== totalCount)
      throw new Error(`${totalCount - idleCount} connections were not given back`);
  });
  suite(() => ({
    transaction: (fn) =>
      transaction(server.pool, (client) =>
        fn(async (id) => void (await client.query("INSERT INTO users VALUES ($1)", [id]))),
      ),
    rows: async () =>
      (await server.pool.query<{ id: number }>("SELECT id FROM users ORDER BY id")).rows.map(({ id }) => id),
  }));

  const ignore = (): void => {};

  test("a statement that failed and was swallowed: the server rolls back, and that is an error here", async () => {
    let ran = false;
    const failing = transaction(server.pool, async (client) => {
      await client.query("INSERT INTO users VALUES (1)");
      await client.query("INSERT INTO users VALUES (1)").catch(ignore);
      onCommit(() => {
        ran = true;
      });
    });
    await expect(failing).rejects.toMatchObject({ code: "PET_TRANSACTION" });
    expect(ran).toBe(false);
  });

  test("a connection that breaks: nothing is sent, the pool goes on without it", async () => {
    let ran = false;
    const failing = transaction(server.pool, async (client) => {
      const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
      onCommit(() => {
        ran = true;
      });
      await server.terminate(rows[0]?.pid ?? 0);
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    await expect(failing).rejects.toThrow(/./);
    expect(ran).toBe(false);
    await transaction(server.pool, (client) => client.query("INSERT INTO users VALUES (9)"));
  });

  test("the client has pg's own type", async () => {
    const version = await transaction(server.pool, async (client: pg.PoolClient) => {
      const { rows } = await client.query<{ one: number }>("SELECT 1 AS one");
      return rows[0]?.one;
    });
    expect(version).toBe(1);
  });
});
