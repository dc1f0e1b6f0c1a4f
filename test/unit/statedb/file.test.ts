import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Logger } from "../../../src/base/logger.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { openStateDb } from "../../../src/statedb/index.ts";
import type { StateDb } from "../../../src/statedb/state-db.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

let dir: string;
let file: string;
let opened: StateDb[];
const errors: string[] = [];
const logger: Logger = {
  ...silentLogger,
  error: (_fields: unknown, text?: string) => void errors.push(text ?? ""),
};

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "statedb-"));
  file = join(dir, "sub", "w1.state");
  opened = [];
  errors.length = 0;
});
afterEach(async () => {
  await Promise.all(opened.map((db) => db.stop()));
  rmSync(dir, { recursive: true, force: true });
});

async function create(url = file): Promise<StateDb> {
  const clock = new VirtualClock(1_764_500_000_000);
  const options = { node: "w1@host", prefix: "", ttlSeconds: null, shared: true, clientName: null };
  const db = await openStateDb({ url, clock, logger, ...options });
  opened.push(db);
  return db;
}

async function open(url = file): Promise<StateDb> {
  const db = await create(url);
  await db.start(new AbortController().signal);
  return db;
}

async function idsOf(db: StateDb): Promise<readonly string[]> {
  return [...(await db.load(1000)).ids.keys()];
}

const LINES = [
  '{"petiole":"statedb","version":1}',
  '{"id":"a","at":1764500000}',
  '{"id":"b","at":1764500000}',
];

async function written(text: string): Promise<void> {
  const db = await open();
  await db.stop();
  writeFileSync(file, text);
}

test("it is what the documents say, one line for each revoke, for its owner only", async () => {
  const db = await open(`file://${file}`);
  await db.revoke({ ids: ["a"], stamps: ['["tenant",1]'] });
  await db.checkpoint({ ids: null, clock: 3 });
  expect(readFileSync(file, "utf8")).toBe(
    '{"petiole":"statedb","version":1}\n{"id":"a","at":1764500000}\n{"stamp":["tenant",1],"at":1764500000}\n{"clock":3}\n',
  );
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test("a line that a crash cut off is dropped, and the next one begins anew", async () => {
  await written(`${LINES.join("\n")}\n{"id":"c","at":17645`);
  const db = await open();
  await db.revoke({ ids: ["d"], stamps: [] });
  expect(await idsOf(db)).toEqual(["a", "b", "d"]);
  expect(errors).toEqual([]);
});

test("a damaged file is kept, and what can be read of it goes on", async () => {
  const damaged = `${LINES[0]}\n${LINES[1]}\n\u0000\u0000garbage\n${LINES[2]}\n`;
  await written(damaged);
  const db = await open();
  expect(await idsOf(db)).toEqual(["a", "b"]);
  const copy = readdirSync(join(dir, "sub")).find((name) => name.includes(".corrupt-"));
  expect(readFileSync(join(dir, "sub", copy ?? ""), "utf8")).toBe(damaged);
  expect(errors).toEqual(["the state file is damaged: it is kept, and what can be read of it goes on"]);
  await db.stop();
  expect(await idsOf(await open())).toEqual(["a", "b"]);
});

test("a file of something else is kept, too", async () => {
  await written("not ours at all\n");
  expect(await idsOf(await open())).toEqual([]);
  const copy = readdirSync(join(dir, "sub")).find((name) => name.includes(".corrupt-"));
  expect(readFileSync(join(dir, "sub", copy ?? ""), "utf8")).toBe("not ours at all\n");
});

test.each([
  ["gdbm", Buffer.from([0xce, 0x9a, 0x57, 0x13, 0, 0])],
  ["gdbm, big-endian", Buffer.from([0x13, 0x57, 0x9a, 0xce, 0, 0])],
  ["SQLite", Buffer.from("SQLite format 3\0")],
  ["Berkeley DB", Buffer.concat([Buffer.alloc(12), Buffer.from([0x61, 0x15, 0x06, 0])])],
])("a shelve of Python's (%s) is refused, and left alone", async (_name, bytes) => {
  await written("");
  writeFileSync(file, bytes);
  const db = await create();
  await expect(db.start(new AbortController().signal)).rejects.toThrow(/database of Python's shelve/);
  expect(readFileSync(file)).toEqual(bytes);
});

test("two workers cannot have one file", async () => {
  const first = await open();
  const second = await create();
  await expect(second.start(new AbortController().signal)).rejects.toThrow(/in use by process/);
  await first.stop();
  await second.start(new AbortController().signal);
});

test("the lock of a process that is gone is taken, and of one that lives is not", async () => {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  await written("");
  const holder = { pid: child.pid, host: hostname(), start: null, token: "t" };
  writeFileSync(`${file}.lock`, JSON.stringify(holder));
  await expect((await create()).start(new AbortController().signal)).rejects.toThrow(String(child.pid));
  // Its number was given to another process.
  writeFileSync(`${file}.lock`, JSON.stringify({ ...holder, start: "1" }));
  await (await open()).stop();
  writeFileSync(`${file}.lock`, JSON.stringify(holder));
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await gone;
  await open();
});

test("a worker whose file was taken over on another host only appends", async () => {
  const first = await open();
  await first.revoke({ ids: ["a"], stamps: [] });
  writeFileSync(`${file}.lock`, JSON.stringify({ pid: 1, host: "elsewhere", start: null, token: "t" }));
  expect(await first.checkpoint({ ids: null, clock: 9 })).toBe("fenced");
  await first.revoke({ ids: ["b"], stamps: [] });
  await first.stop();
  const second = await open();
  expect(await second.load(10)).toMatchObject({ clock: 0 });
  expect(await idsOf(second)).toEqual(["a", "b"]);
});

test("a file that was mostly repeated is written anew at a checkpoint", async () => {
  const db = await open();
  await db.load(10);
  for (let round = 0; round < 30; round += 1) {
    await db.revoke({ ids: Array.from({ length: 100 }, (_, n) => `id-${n}`), stamps: [] });
  }
  const before = statSync(file).size;
  await db.checkpoint({ ids: null, clock: 5 });
  expect(statSync(file).size).toBeLessThan(before / 20);
  await db.revoke({ ids: ["last"], stamps: [] });
  const { ids, clock } = await db.load(1000);
  expect([ids.size, clock, [...ids.keys()].at(-1)]).toEqual([101, 5, "last"]);
  expect(readdirSync(join(dir, "sub")).sort()).toEqual(["w1.state", "w1.state.lock"]);
});

test("the clock is known before anything is loaded, and never goes back", async () => {
  await written(`${LINES[0]}\n{"clock":7}\n`);
  const db = await open();
  await db.checkpoint({ ids: null, clock: 3 });
  expect((await db.load(10)).clock).toBe(7);
});

test.each([
  ["sentinel://host:26379/0", /add \?master_name=/],
  ["amqp://user:secret@host", /^(?!.*secret).*is not served/],
  ["redis://host/zero", /zero/],
])("%s is refused by name", async (url, message) => {
  await expect(create(url)).rejects.toThrow(message);
});
