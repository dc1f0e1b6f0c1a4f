import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../../src/base/clock.ts";
import { loadDriver } from "../../../src/sqlite/driver.ts";
import { refuseNetworkFolder } from "../../../src/sqlite/file-system.ts";
import { HolderLock, isHolderAlive, removeHolderLock } from "../../../src/sqlite/holder-lock.ts";
import { Database, type SqliteError } from "../../../src/sqlite/index.ts";
import { eventually } from "../../support/eventually.ts";

let folder = "";
let path = "";
let opened: Database[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "petiole-sqlite-"));
  path = join(folder, "t.db");
});
afterEach(() => {
  for (const db of opened) db.close();
  opened = [];
  rmSync(folder, { recursive: true, force: true });
});

async function open(options = ""): Promise<Database> {
  const db = await Database.open(`sqlite://${path}${options}`, systemClock);
  opened.push(db);
  return db;
}

async function failureOf(promise: Promise<unknown>): Promise<SqliteError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason as SqliteError,
  );
  if (error === null) throw new Error("it did not reject");
  return error;
}

const PAUSE = "INSERT INTO petiole_paused VALUES (?, 1)";
const paused = (db: Database): number => db.all("SELECT queue FROM petiole_paused").length;

describe("writes", () => {
  test("of one turn share a transaction, and an error costs its own only", async () => {
    const [db, other] = [await open(), await open()];
    const version = (): unknown => other.get("PRAGMA data_version")?.["data_version"];
    const before = version();
    const seen: number[] = [];
    const writes = ["a", "b", "a", "c"].map((name) =>
      db.write(() => {
        seen.push(paused(db));
        db.run(PAUSE, name);
        return name;
      }),
    );
    const ends = await Promise.allSettled(writes);
    expect(ends.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected", "fulfilled"]);
    expect(paused(other)).toBe(3);
    // Begun anew without the third.
    expect(seen).toEqual([0, 1, 2, 0, 1, 2]);
    expect(version()).toBe((before as number) + 1);
  });

  test("wait for another's lock without blocking the loop, until their time is over", async () => {
    const [db, other] = [await open("?busy_timeout=0.2"), await open()];
    other.get("SELECT 1");
    const driver = (await loadDriver())(path, { timeout: 100 });
    driver.exec("BEGIN IMMEDIATE");
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    const failure = await failureOf(db.write(() => db.run(PAUSE, "late")));
    expect([failure.busy, failure.refused]).toEqual([true, false]);
    expect(failure.message).toContain("another process has the lock");
    expect(turns).toBeGreaterThan(2);
    clearInterval(timer);
    const patient = db.write(() => db.run(PAUSE, "patient"), { patient: true });
    const abort = new AbortController();
    const aborted = db.write(() => db.run(PAUSE, "aborted"), { patient: true, signal: abort.signal });
    abort.abort();
    driver.exec("COMMIT");
    driver.close();
    expect(await patient).toBe(1);
    expect((await failureOf(aborted)).message).toContain("given up");
    expect(paused(db)).toBe(1);
  });

  test("are heard by other connections", async () => {
    const [db, other] = [await open(), await open()];
    let heard = 0;
    other.onChange(() => (heard += 1));
    for (let i = 0; i < 5; i++) {
      const before = heard;
      await db.write(() => db.run(PAUSE, String(i)));
      await eventually("heard", () => heard > before, { intervalMs: 1, timeoutMs: 5000 });
    }
    expect(heard).toBeGreaterThanOrEqual(5);
  });

  test("of a closed connection are refused", async () => {
    const db = await open();
    const pending = db.write(() => db.run(PAUSE, "x"));
    db.close();
    await pending;
    expect((await failureOf(db.write(() => 0))).message).toContain("closed");
    expect(paused(await open())).toBe(1);
  });
});

describe("a file that cannot be used", () => {
  test("a full disk: nothing of the step is stored, and it goes on when there is room", async () => {
    const db = await open();
    const pages = db.get("PRAGMA page_count")?.["page_count"] as number;
    db.get(`PRAGMA max_page_count = ${pages}`);
    const failure = await failureOf(
      db.write(() => db.run("INSERT INTO petiole_paused VALUES (?, 1)", "x".repeat(100_000))),
    );
    expect([failure.refused, failure.busy]).toEqual([false, false]);
    expect(failure.message).toMatch(/the disk that .* is full: make room/);
    expect(paused(db)).toBe(0);
    db.get("PRAGMA max_page_count = 100000");
    await db.write(() => db.run("INSERT INTO petiole_paused VALUES (?, 1)", "x".repeat(100_000)));
    expect(paused(db)).toBe(1);
  });

  test("no database at all", async () => {
    writeFileSync(path, "hello, this is a text and no database. ".repeat(100));
    const failure = await failureOf(open());
    expect(failure.refused).toBe(true);
    expect(failure.message).toContain("is no SQLite database: name another file");
  });

  test("a damaged one", async () => {
    const db = await open();
    await db.write(() => {
      for (let i = 0; i < 2000; i++) db.run(PAUSE, `${"q".repeat(100)}${i}`);
    });
    db.get("PRAGMA wal_checkpoint(TRUNCATE)");
    const size = (db.get("PRAGMA page_count")?.["page_count"] as number) * 4096;
    db.close();
    const { openSync, writeSync, closeSync } = await import("node:fs");
    const file = openSync(path, "r+");
    for (let at = 3 * 4096; at < size; at += 4096) writeSync(file, Buffer.alloc(4096, 0xa5), 0, 4096, at);
    closeSync(file);
    const failure = await failureOf(
      (async () => {
        const damaged = await open();
        return damaged.read(() => paused(damaged));
      })(),
    );
    expect(failure.refused).toBe(true);
    expect(failure.message).toContain("is damaged: stop all processes");
  });

  test("a newer version's", async () => {
    const db = await open();
    await db.write(() => db.run("UPDATE petiole_meta SET value = 99 WHERE name = 'schema'"));
    const failure = await failureOf(open());
    expect(failure.refused).toBe(true);
    expect(failure.message).toMatch(/newer version of Petiole .*version 99.*update this process/);
  });

  test("a folder that may not be written to, or not be made", async () => {
    // The driver is read before the user is changed.
    (await open()).close();
    const uid = process.geteuid?.();
    chmodSync(folder, 0o555);
    if (uid === 0) process.seteuid?.(65_534);
    try {
      const failure = await failureOf(open());
      expect(failure.refused).toBe(true);
      expect(failure.message).toMatch(/cannot be (written|opened).*(permission|folder)/);
      const unmade = await failureOf(Database.open(`sqlite://${folder}/sub/t.db`, systemClock));
      expect(unmade.message).toContain("cannot be made");
    } finally {
      if (uid === 0) process.seteuid?.(0);
      chmodSync(folder, 0o700);
    }
  });

  test("a network file system", async () => {
    const nfs = await failureOf(refuseNetworkFolder("/mnt", async () => 0x6969));
    expect(nfs.message).toMatch(/network file system \(NFS\).*local disk, or Redis/);
    // As statfs gives it where the number has a sign.
    const cifs = await failureOf(refuseNetworkFolder("/mnt", async () => 0xff534d42 | 0));
    expect([cifs.refused, cifs.message.includes("CIFS")]).toEqual([true, true]);
    await expect(refuseNetworkFolder("/mnt", async () => 0xef53)).resolves.toBeUndefined();
    await expect(refuseNetworkFolder(folder)).resolves.toBeUndefined();
  });

  test("one that was replaced while it is open is noticed", async () => {
    const db = await open();
    expect(db.isReplaced()).toBe(false);
    renameSync(path, `${path}.old`);
    expect(db.isReplaced()).toBe(true);
    (await open()).close();
    expect(db.isReplaced()).toBe(true);
  });
});

test("tables live beside those of others", async () => {
  const driver = (await loadDriver())(path, { timeout: 100 });
  driver.exec("CREATE TABLE users (id INTEGER); INSERT INTO users VALUES (1); PRAGMA user_version = 7");
  const db = await open();
  await db.write(() => db.run(PAUSE, "q"));
  expect(driver.prepare("SELECT id FROM users").all()).toHaveLength(1);
  expect(driver.prepare("PRAGMA user_version").get()?.["user_version"]).toBe(7);
  driver.close();
});

test("a holder lives as long as it has its lock", async () => {
  await open();
  const lock = await HolderLock.take(path, 1);
  expect(await isHolderAlive(path, 1)).toBe(true);
  expect(await isHolderAlive(path, 2)).toBe(false);
  lock.abandon();
  expect(await isHolderAlive(path, 1)).toBe(false);
  removeHolderLock(path, 1);
  const second = await HolderLock.take(path, 1);
  expect(await isHolderAlive(path, 1)).toBe(true);
  second.release();
  expect(await isHolderAlive(path, 1)).toBe(false);
});
