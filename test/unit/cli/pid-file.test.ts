import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { PidFile } from "../../../src/cli/daemon/pid-file.ts";
import { thrownBy } from "../../support/thrown-by.ts";

let dir: string;
let path: string;
let told: string[];
const tell = (what: string): void => void told.push(what);

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "petiole-pid-"));
  path = join(dir, "w.pid");
  told = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test("holds the process's id until it is released, and says nothing", () => {
  const file = new PidFile(path);
  const before = process.listenerCount("exit");
  file.take(tell);
  expect(readFileSync(path, "utf8")).toBe(`${process.pid}\n`);
  expect(process.listenerCount("exit")).toBe(before + 1);
  file.release();
  file.release();
  expect(existsSync(path)).toBe(false);
  expect(process.listenerCount("exit")).toBe(before);
  expect(told).toEqual([]);
});

test("a process that runs keeps it: the error has its id, the file stays", async () => {
  const child = spawn("sleep", ["60"]);
  await once(child, "spawn");
  try {
    writeFileSync(path, `${child.pid}\n`);
    expect(new PidFile(path).holder()).toEqual({ kind: "runs", pid: child.pid });
    expect(thrownBy(() => new PidFile(path).take(tell))).toMatchObject({
      code: "PET_RUNNING",
      message: expect.stringContaining(`process ${child.pid}, which runs`),
    });
    expect(readFileSync(path, "utf8")).toBe(`${child.pid}\n`);
    // Written long before that process began: its id was used again.
    utimesSync(path, 1000, 1000);
    expect(new PidFile(path).holder()).toEqual({ kind: "stale", pid: child.pid });
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
  }
});

test.each([
  ["of a process that is gone", "4194303\n", "left over"],
  ["of this very process", `${process.pid}\n`, "left over"],
  ["without a line's end, as one that was being written", "12", "no pid file"],
  ["of something else", "not a pid\n", "no pid file"],
  ["empty", "", "no pid file"],
])("a file %s is replaced, and that is said", (_name, text, what) => {
  writeFileSync(path, text);
  const file = new PidFile(path);
  file.take(tell);
  expect(readFileSync(path, "utf8")).toBe(`${process.pid}\n`);
  expect(told).toEqual([expect.stringContaining(what)]);
  file.release();
  expect(readdirSync(dir)).toEqual([]);
});

test("a file that another process has taken over is not removed", () => {
  const file = new PidFile(path);
  file.take(tell);
  writeFileSync(path, "1\n");
  file.release();
  expect(readFileSync(path, "utf8")).toBe("1\n");
});

test("a folder that is not there is said", () => {
  expect(thrownBy(() => new PidFile(join(dir, "no/w.pid")).take(tell))).toMatchObject({ code: "PET_DAEMON" });
});
