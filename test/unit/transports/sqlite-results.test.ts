import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { loadDriver } from "../../../src/sqlite/driver.ts";
import { Database, keyHash } from "../../../src/sqlite/index.ts";
import { ResultTable } from "../../../src/transports/sqlite/results.ts";
import { type SqliteRig, sqliteRig } from "../../support/sqlite-rig.ts";

const NOW = 1_000_000;
const opened: Database[] = [];
let rig: SqliteRig;

beforeEach(async () => {
  rig = await sqliteRig();
});
afterEach(async () => {
  for (const db of opened.splice(0)) db.close();
  await rig.stop();
});

async function open(): Promise<{ readonly db: Database; readonly table: ResultTable }> {
  const db = await Database.open(rig.url, systemClock);
  opened.push(db);
  return { db, table: new ResultTable(db) };
}

function write(key: string, value: string, ttlSeconds = 0): Parameters<ResultTable["write"]>[0] {
  return { location: { kind: "other" }, key, value, ttlSeconds, keepSuccess: false };
}

test("results of the tables of version 1 are found, and numbers go on behind theirs", async () => {
  const old = (await loadDriver())(rig.path, { timeout: 1000 });
  old.exec(`
    CREATE TABLE petiole_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
    INSERT INTO petiole_meta VALUES ('schema', 1);
    CREATE TABLE petiole_results (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, value NOT NULL, success INTEGER NOT NULL, expires INTEGER);
    CREATE INDEX petiole_results_expire ON petiole_results (expires) WHERE expires IS NOT NULL;
    CREATE TABLE petiole_past (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, value NOT NULL);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
    INSERT INTO petiole_results (key, value, success, expires) SELECT 'key' || i, 'value' || i, i % 2, NULL FROM n;
    INSERT INTO petiole_results (key, value, success) VALUES (CAST('a' || char(0) || 'b' AS BLOB), x'00ff', 1)`);
  old.close();
  const { db, table } = await open();
  for (let i = 1; i <= 2500; i += 1) expect(table.read(`key${i}`, NOW)).toBe(`value${i}`);
  expect(table.read("a\0b", NOW)).toEqual(Buffer.from([0, 255]));
  await db.write(() => table.write({ ...write("key7", "again"), keepSuccess: true }, NOW));
  await db.write(() => table.write({ ...write("key8", "again"), keepSuccess: true }, NOW));
  expect([table.read("key7", NOW), table.read("key8", NOW)]).toEqual(["value7", "again"]);
  expect(table.after(2501)).toEqual([{ seq: 2502, key: "key8" }]);
  expect(table.readSeq(8)).toBe("value8");
});

test("keys of one hash are told apart", async () => {
  const { db, table } = await open();
  await db.write(() => {
    table.write(write("one", "1"), NOW);
    table.write(write("two", "2"), NOW);
    db.run("UPDATE petiole_results SET hash = ?", keyHash("one"));
    table.write(write("one", "3"), NOW);
  });
  expect(table.read("one", NOW)).toBe("3");
  db.run("UPDATE petiole_results SET hash = ?", keyHash("two"));
  expect(table.read("two", NOW)).toBe("2");
  await db.write(() => table.delete("two"));
  expect([table.read("two", NOW), db.all("SELECT key FROM petiole_results").length]).toEqual([null, 1]);
});

describe("a number is given once", () => {
  test("after the last result was deleted, and the one after it", async () => {
    const { db, table } = await open();
    const add = (key: string): Promise<void> => db.write(() => table.write(write(key, key), NOW));
    await add("a");
    const before = table.lastSeq();
    await db.write(() => table.delete("a"));
    expect([table.lastSeq(), table.read("a", NOW), table.read("", NOW)]).toEqual([before, null, null]);
    await add("b");
    expect(table.after(before)).toEqual([{ seq: before + 1, key: "b" }]);
    await db.write(() => table.delete("b"));
    await add("b");
    expect(table.after(before + 1)).toEqual([{ seq: before + 2, key: "b" }]);
    await db.write(() => table.deleteExpired(NOW));
    expect(db.all("SELECT key FROM petiole_results").length).toBe(1);
  });

  test("after all have expired; of them only the number stays", async () => {
    const { db, table } = await open();
    for (const key of ["a", "b"]) await db.write(() => table.write(write(key, key, 1), NOW));
    const last = table.lastSeq();
    expect([table.hasExpired(NOW), table.hasExpired(NOW + 1000)]).toEqual([false, true]);
    await db.write(() => table.deleteExpired(NOW + 1000));
    expect([table.lastSeq(), table.hasExpired(NOW + 1000)]).toEqual([last, false]);
    expect(db.all("SELECT key, value FROM petiole_results")).toEqual([{ key: "", value: "" }]);
  });
});
