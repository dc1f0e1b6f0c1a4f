/** `petiole init`: real folders. That its project runs is test/package/create.test.ts. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root } from "../support/built.ts";
import { makeProject, type Project, petioleRun } from "./cli-support.ts";

const FILES = [".gitignore", "README.md", "package.json", "src", "tsconfig.json"];
let project: Project;
let dir: string;

beforeEach(() => {
  project = makeProject();
  dir = join(project.dir, "empty");
  mkdirSync(dir);
});
afterEach(() => project.remove());

const read = (path: string): string => readFileSync(join(dir, path), "utf8");
const nameIn = (path: string): unknown => (JSON.parse(read(path)) as { name: unknown }).name;

test("the folder is the argument, and the package is named after it", async () => {
  const { code, out, err } = await petioleRun(["init", "My Shop"], { cwd: dir });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(out).toContain("cd My Shop\n  npm install\n");
  expect(readdirSync(join(dir, "My Shop")).sort()).toEqual(FILES);
  expect(nameIn("My Shop/package.json")).toBe("my-shop");
  expect(read("My Shop/src/tasks.ts")).toContain('"my-shop.add"');
  expect(read("My Shop/src/tasks.ts")).toContain("taskAcksLate: true");
});

test("it asks one question, and an empty answer is the folder that it names", async () => {
  const asked = await petioleRun(["init"], { cwd: dir, input: "shop\n" });
  expect([asked.code, asked.err]).toEqual([0, "Folder of the project [.]: "]);
  expect(nameIn("shop/package.json")).toBe("shop");
  // No longer empty.
  const again = await petioleRun(["init"], { cwd: dir, input: "\n" });
  expect([again.code, again.err]).toEqual([0, "Folder of the project [petiole-app]: "]);
  expect(nameIn("petiole-app/package.json")).toBe("petiole-app");
  const ended = await petioleRun(["init"], { cwd: dir });
  expect([ended.code, readdirSync(dir).sort()]).toEqual([1, ["petiole-app", "shop"]]);
});

test("--yes asks nothing: this folder where it is empty, else one below it", async () => {
  mkdirSync(join(dir, ".git"));
  const here = await petioleRun(["init", "--yes"], { cwd: dir });
  expect([here.code, here.err, here.out.includes("cd ")]).toEqual([0, "", false]);
  expect(nameIn("package.json")).toBe("empty");
  expect((await petioleRun(["init", "-y"], { cwd: dir })).out).toContain("cd petiole-app\n");
});

test("files that are there are named and kept, and nothing is written", async () => {
  mkdirSync(join(dir, "src"));
  writeFileSync(join(dir, "src/tasks.ts"), "mine");
  const { code, err } = await petioleRun(["init", "."], { cwd: dir });
  expect(code).toBe(64);
  expect(err).toMatch(/nothing was written: .*empty has src\/tasks\.ts already\. .*\[PET_USAGE\]/);
  expect(read("src/tasks.ts")).toBe("mine");
  expect(existsSync(join(dir, "package.json"))).toBe(false);
});

test("its packages are those that are tested here", async () => {
  await petioleRun(["init", "-y"], { cwd: dir });
  const ours = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
  const theirs = JSON.parse(read("package.json")) as Manifest;
  const wanted = Object.keys(theirs.devDependencies).map((name) => [name, `^${ours.devDependencies[name]}`]);
  expect(Object.entries(theirs.devDependencies)).toEqual(wanted);
  expect(theirs.dependencies).toEqual({ petiole: `^${ours.version}` });
  const create = JSON.parse(
    readFileSync(join(root, "packages/create-petiole/package.json"), "utf8"),
  ) as Manifest;
  expect([create.version, create.dependencies]).toEqual([ours.version, { petiole: ours.version }]);
});

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}
