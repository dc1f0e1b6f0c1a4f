import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Logger, silentLogger } from "../../../src/base/logger.ts";
import { FileScheduleStore } from "../../../src/schedules/stores/file.ts";
import type { StoredRuns } from "../../../src/schedules/stores/store.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

let dir: string;
let path: string;
const errors: string[] = [];
const logger: Logger = { ...silentLogger, error: (_fields, text) => void errors.push(text) };
const RUNS: StoredRuns = new Map([
  ["a", { lastRunAtMs: 1_764_500_000_123, totalRunCount: 4 }],
  ["__proto__", { lastRunAtMs: 1_764_500_000_000, totalRunCount: 0 }],
]);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "petiole-schedule-"));
  path = join(dir, "sub", "celerybeat-schedule");
  errors.length = 0;
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (): FileScheduleStore => new FileScheduleStore({ path, clock: new VirtualClock(), logger });

const loaded = async (store: FileScheduleStore): Promise<StoredRuns> => (await store.load([])).runs;

async function written(text: string | Buffer): Promise<FileScheduleStore> {
  const store = open();
  await store.take();
  writeFileSync(path, text);
  return store;
}

test("what was saved is there again, and the file is one that people can read", async () => {
  const store = open();
  expect([await store.take(), await loaded(store)]).toEqual([null, new Map()]);
  expect(await store.save(RUNS)).toBe(true);
  await store.release();
  const again = open();
  await again.take();
  expect(await loaded(again)).toEqual(RUNS);
  expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
    version: 1,
    entries: { a: { last_run_at: "2025-11-30T10:53:20.123000+00:00", total_run_count: 4 } },
  });
  await again.release();
  expect(readdirSync(join(dir, "sub"))).toEqual(["celerybeat-schedule"]);
});

test.each([
  "",
  "{",
  "[]",
  '{"version": 1, "entries": {"a": {"last_run_at": "soon", "total_run_count": 1}}}',
  "\0\0\0",
])("what is no schedule is set aside: %j", async (text) => {
  const store = await written(text);
  expect(await loaded(store)).toEqual(new Map());
  expect(errors).toEqual([expect.stringContaining("set aside")]);
  const [kept = ""] = readdirSync(join(dir, "sub")).filter((name) => name.includes(".corrupt-"));
  expect(readFileSync(join(dir, "sub", kept), "utf8")).toBe(text);
  await store.save(RUNS);
  expect(await loaded(store)).toEqual(RUNS);
});

test("a schedule of Python's, and one of a newer version, are left alone", async () => {
  const dbm = Buffer.from("cf9a571300000000000000000000000000", "hex");
  await expect(loaded(await written(dbm))).rejects.toThrow(/Python's celery beat, and is left alone/);
  expect(readFileSync(path)).toEqual(dbm);
  await expect(loaded(await written('{"version": 2, "entries": {}}'))).rejects.toThrow(/version 2/);
});

test("one scheduler at a time has it; one that lost it saves nothing", async () => {
  const first = open();
  const second = open();
  expect(await first.take()).toBeNull();
  expect(await second.take()).toBe(`process ${process.pid}`);
  expect(await first.take()).toBeNull();
  // As a process on another host does, which cannot see whether this one lives.
  const other = { pid: 1, host: "elsewhere", start: null, token: "other" };
  writeFileSync(`${path}.lock`, JSON.stringify(other));
  expect(await first.save(RUNS)).toBe(false);
  expect(readdirSync(join(dir, "sub"))).toEqual(["celerybeat-schedule.lock"]);
  expect(await second.take()).toBeNull();
});

test("a folder that cannot be written is named", async () => {
  writeFileSync(join(dir, "sub"), "");
  await expect(open().take()).rejects.toThrow(/schedule file .* cannot be taken \(E/);
});
