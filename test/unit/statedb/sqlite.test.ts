import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { SqliteStateDb } from "../../../src/statedb/sqlite/index.ts";
import type { Revocations, StateDbOptions } from "../../../src/statedb/state-db.ts";
import { eventually } from "../../support/eventually.ts";
import { type SqliteRig, sqliteRig } from "../../support/sqlite-rig.ts";

let rig: SqliteRig;
let opened: SqliteStateDb[] = [];

beforeEach(async () => {
  rig = await sqliteRig();
});
afterEach(async () => {
  await Promise.all(opened.map((one) => one.stop()));
  opened = [];
  await rig.stop();
});

interface Followed {
  readonly db: SqliteStateDb;
  readonly changes: Revocations[];
  readonly told: string[];
}

function create(overrides: Partial<StateDbOptions>): SqliteStateDb {
  const db = new SqliteStateDb({
    url: rig.url,
    node: null,
    prefix: "",
    ttlSeconds: null,
    shared: true,
    clock: systemClock,
    logger: silentLogger,
    clientName: null,
    ...overrides,
  });
  opened.push(db);
  return db;
}

async function worker(node: string, overrides: Partial<StateDbOptions> = {}): Promise<Followed> {
  const db = create({ node, ...overrides });
  const changes: Revocations[] = [];
  const told: string[] = [];
  db.follow({
    onChange: (change) => changes.push(change),
    onGap: () => told.push("gap"),
    onAway: () => told.push("away"),
    onRival: () => told.push("rival"),
  });
  await db.start(new AbortController().signal);
  await db.load(100);
  return { db, changes, told };
}

test("workers hear what others revoke, and not their own", async () => {
  const [one, two] = [await worker("one@h"), await worker("two@h")];
  await one.db.revoke({ ids: ["a"], stamps: ['["h","v"]'] });
  await eventually("two heard", () => two.changes.length === 1);
  expect(two.changes).toEqual([{ ids: ["a"], stamps: ['["h","v"]'] }]);
  await create({}).revoke({ ids: ["of a client"], stamps: [] });
  await eventually("both heard", () => one.changes.length === 1 && two.changes.length === 2);
  expect(one.changes).toEqual([{ ids: ["of a client"], stamps: [] }]);
});

test("what was revoked while nobody ran holds for workers of any name; without sharing it does not", async () => {
  await create({}).revoke({ ids: ["a"], stamps: [] });
  const { db } = await worker("new@h");
  expect([...(await db.load(10)).ids.keys()]).toEqual(["a"]);
  const alone = await worker("alone@h", { shared: false });
  expect((await alone.db.load(10)).ids.size).toBe(0);
  expect((await alone.db.lookUp({ ids: ["a"], stamps: [] })).ids).toEqual([]);
});

test("a second worker of a name fences the first, and both are told", async () => {
  const first = await worker("same@h");
  const second = await worker("same@h");
  await eventually("both know", () => first.told.includes("rival") && second.told.includes("rival"));
  expect(await first.db.checkpoint({ ids: null, clock: 5 })).toBe("fenced");
  expect(await second.db.checkpoint({ ids: null, clock: 3 })).toBe("done");
  await second.db.abandon();
  const third = await worker("same@h");
  expect([third.told, (await third.db.load(1)).clock]).toEqual([[], 3]);
});

test("an operator's purge makes workers load anew", async () => {
  const { db, told } = await worker("one@h");
  await db.revoke({ ids: ["a"], stamps: [] });
  rig.raw().exec("UPDATE petiole_revoked SET at = at - 10000");
  expect(await create({}).purge({ olderThanSeconds: 5, node: null })).toBe(1);
  await eventually("told", () => told.includes("gap"));
  expect((await db.load(10)).ids.size).toBe(0);
});

test("a node that runs is not forgotten; what one had goes to all", async () => {
  const { db } = await worker("one@h");
  const operator = create({});
  await db.revoke({ ids: ["a"], stamps: [] });
  rig.raw().exec("DELETE FROM petiole_revoked WHERE owner = ''");
  await expect(operator.forget("one@h", { merge: true })).rejects.toThrow(/runs: stop it first/u);
  expect((await operator.overview()).nodes[0]).toMatchObject({ node: "one@h", ids: 1, alive: true });
  await db.abandon();
  expect((await operator.overview()).nodes[0]?.alive).toBe(false);
  expect(await operator.forget("one@h", { merge: true })).toEqual({ found: true, merged: 1 });
  expect(await operator.forget("one@h", { merge: true })).toEqual({ found: false, merged: 0 });
  expect((await operator.overview()).shared).toEqual({ ids: 1, stamps: 0 });
});
