/** What the program writes to start faster, on Nodes that can (22.1 and later): in a folder of the user alone, nowhere else. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import * as nodeModule from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { cli, root } from "../support/built.ts";

const hasCache = "enableCompileCache" in nodeModule;
const NAME = `petiole-compile-cache-${process.getuid?.()}`;

let home: string;
const at = (...names: readonly string[]): string => join(home, ...names);
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "petiole-cache-"));
  for (const folder of ["tmp", "user", "project"]) mkdirSync(at(folder));
  writeFileSync(at("project/package.json"), "{}");
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function start(env: Readonly<Record<string, string>> = {}, nodeArgs: readonly string[] = []): string {
  const { NODE_COMPILE_CACHE: _given, NODE_DISABLE_COMPILE_CACHE: _not, ...rest } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...nodeArgs, cli, "--version"], {
    cwd: at("project"),
    env: { ...rest, TMPDIR: at("tmp"), HOME: at("user"), NODE_OPTIONS: "", ...env },
    encoding: "utf8",
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return stdout;
}
const everything = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted();
const cached = (folder: string): number => everything(folder).filter((one) => /[\\/]/.test(one)).length;

test("is in a folder that only this user can read, and the next start takes it; nothing else is written", () => {
  const before = everything(join(root, "dist"));
  const said = start();
  expect(readdirSync(at("tmp"))).toEqual(hasCache ? [NAME] : []);
  expect([everything(at("user")), everything(at("project"))]).toEqual([[], ["package.json"]]);
  expect(everything(join(root, "dist"))).toEqual(before);
  if (!hasCache) return;
  expect(statSync(at("tmp", NAME)).mode & 0o777).toBe(0o700);
  const files = everything(at("tmp", NAME));
  expect(cached(at("tmp", NAME))).toBeGreaterThan(2);
  expect(start()).toBe(said);
  expect(everything(at("tmp", NAME))).toEqual(files);
});

test.runIf(hasCache)("is not taken from a folder that others can write to, or that a link leads to", () => {
  mkdirSync(at("tmp", NAME));
  chmodSync(at("tmp", NAME), 0o777);
  start();
  expect(everything(at("tmp"))).toEqual([NAME]);
  rmSync(at("tmp", NAME), { recursive: true });
  mkdirSync(at("elsewhere"), { mode: 0o700 });
  symlinkSync(at("elsewhere"), at("tmp", NAME));
  start();
  expect(everything(at("elsewhere"))).toEqual([]);
});

test("is not written where Node was told so, where there is no place for it, and without permission", () => {
  start({ NODE_DISABLE_COMPILE_CACHE: "1" });
  start({ TMPDIR: "/dev/null" });
  if (process.allowedNodeEnvironmentFlags.has("--permission"))
    start({}, ["--permission", "--allow-fs-read=*"]);
  expect(everything(at("tmp"))).toEqual([]);
});

test.runIf(hasCache)("is where NODE_COMPILE_CACHE says", () => {
  start({ NODE_COMPILE_CACHE: at("chosen") });
  expect(existsSync(at("chosen"))).toBe(true);
  expect(cached(at("chosen"))).toBeGreaterThan(2);
  expect(everything(at("tmp"))).toEqual([]);
});
