/** The package as users get it: packed, installed into an empty folder with npm, used from there. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { root } from "../support/built.ts";
import { installPacked, type UserFolder } from "./support.ts";

interface Manifest {
  readonly version: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
let user: UserFolder;
let dir: string;
const run = (program: string, ...args: string[]): string => user.run(program, ...args);

beforeAll(() => {
  user = installPacked();
  ({ dir } = user);
});

afterAll(() => user?.remove());

interface Lock {
  readonly packages: Readonly<Record<string, { hasInstallScript?: boolean; optional?: boolean }>>;
}

/** Of `sqlite://` on Node 20: prebuilt for all platforms. */
const DRIVER = "node_modules/@photostructure/sqlite";
const driver = (): number => sizeOf(join(dir, DRIVER));

const lock = (): Lock =>
  JSON.parse(readFileSync(join(dir, "node_modules/.package-lock.json"), "utf8")) as Lock;

describe("what is installed", () => {
  test("its number and size are printed, and stay small", () => {
    const packages = Object.keys(lock().packages);
    const bytes = sizeOf(join(dir, "node_modules"));
    const own = sizeOf(join(dir, "node_modules/petiole"));
    process.stderr.write(
      `npm install petiole: ${packages.length} packages, ${mega(bytes)} MB, of which petiole ${mega(own)} MB\n`,
    );
    expect(packages.length).toBeLessThanOrEqual(40);
    expect(bytes - driver()).toBeLessThan(12e6);
    expect(driver()).toBeLessThan(32e6);
  });

  test("no package of it needs an install script: this folder ran none, and opens an embedded database", () => {
    const scripted = Object.entries(lock().packages).filter(([, one]) => one.hasInstallScript === true);
    expect(scripted.map(([name, one]) => [name, one.optional])).toEqual([[DRIVER, true]]);
    const script = `import { Celery } from "petiole";
      const app = new Celery("x", { brokerUrl: "sqlite:///${join(dir, "queue.db")}" });
      console.log(typeof (await app.sendTask("a.task")).id);
      await app.close();`;
    expect(run("node", "--input-type=module", "-e", script)).toBe("string\n");
  });

  test("Node's own SQLite is taken where it has one, without its warning, and the package's elsewhere", () => {
    const script = `import { Celery } from "petiole";
      const app = new Celery("x", { brokerUrl: "sqlite:///${join(dir, "own.db")}" });
      await app.sendTask("a.task");
      const loaded = process.report.getReport().sharedObjects.some((one) => one.includes("photostructure"));
      console.log(loaded !== (process.getBuiltinModule("node:sqlite") !== undefined));
      await app.close();`;
    writeFileSync(join(dir, "driver.mjs"), script);
    const { stdout, stderr } = spawnSync("node", ["driver.mjs"], { cwd: dir, encoding: "utf8" });
    expect({ stdout, stderr }).toEqual({ stdout: "true\n", stderr: "" });
  });

  test("the dependencies have exact versions", () => {
    expect(
      Object.values(manifest.dependencies).filter((version) => !/^\d+\.\d+\.\d+$/.test(version)),
    ).toEqual([]);
  });

  test("only what users need is in it", () => {
    const top = readdirSync(join(dir, "node_modules/petiole"));
    expect(new Set(top)).toEqual(
      new Set(["CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "dist", "package.json"]),
    );
  });
});

describe("what it offers", () => {
  const entries = Object.keys(manifest.exports).filter((name) => !name.endsWith(".json"));

  test.each(entries)("the entry %s is imported, and required, by its public name", (name) => {
    const specifier = JSON.stringify(`petiole${name.slice(1)}`);
    const script = `const all = await import(${specifier}); console.log(Object.keys(all).length)`;
    expect(Number(run("node", "--input-type=module", "-e", script))).toBeGreaterThan(0);
    const required = `console.log(Object.keys(require(${specifier})).length)`;
    expect(Number(run("node", "--input-type=commonjs", "-e", required))).toBeGreaterThan(0);
  });

  test("what is not exported cannot be imported", () => {
    const script = `await import("petiole/dist/app/app.js").then(() => console.log("open"), (error) => console.log(error.code))`;
    expect(run("node", "--input-type=module", "-e", script)).toBe("ERR_PACKAGE_PATH_NOT_EXPORTED\n");
  });

  test("the program tells the package's version", () => {
    expect(run("npx", "--no-install", "petiole", "--version")).toContain(manifest.version);
  });

  test("a program that only loads it ends by itself and prints nothing", () => {
    const script = `const { Celery } = await import("petiole"); new Celery("x", { brokerUrl: "redis://127.0.0.1:1/0" });`;
    expect(run("node", "--input-type=module", "-e", script)).toBe("");
  });

  test("the state DB is used by hand, and a Redis that is away is said", () => {
    const script = `import { RedisStateDB } from "petiole/statedb";
      const db = new RedisStateDB({ redisUrl: "redis://user:secret@127.0.0.1:1/0", workerName: "celery@host" });
      const said = await db.addRevoked("id").catch((error) => error.code + " " + error.message);
      console.log(await db.ping(), said);
      db.close();`;
    const said = run("node", "--input-type=module", "-e", script);
    expect(said).toMatch(/^false PET_\w+ .*127\.0\.0\.1:1/);
    expect(said).not.toContain("secret");
  });

  test("its types compile in a user's strict program, library checks on", () => {
    mkdirSync(join(dir, "user"), { recursive: true });
    writeFileSync(join(dir, "user/program.ts"), PROGRAM);
    writeFileSync(
      join(dir, "user/tsconfig.json"),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          module: "nodenext",
          target: "es2023",
          noEmit: true,
          skipLibCheck: false,
          types: ["node"],
          typeRoots: [join(root, "node_modules/@types")],
        },
        include: ["program.ts"],
      }),
    );
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    expect(run("node", tsc, "-p", "user/tsconfig.json")).toBe("");
  });
});

const PROGRAM = `
import { type AsyncResult, Celery, kw, RemoteError, type Task } from "petiole";
import { purgeOldRevokedTasks, RedisPersistent, RedisStateDB, RedisStatePersistence } from "petiole/statedb";
import { Worker } from "petiole/worker";

const app = new Celery("user", { brokerUrl: "redis://localhost:6379/0" });
export const add: Task<[x: number, y: number], number> = app.task("user.add", (x: number, y: number) => x + y);
export async function program(): Promise<number> {
  const result: AsyncResult<number> = await add.s(2).delay(1);
  await app.sendTask("images.resize", ["a.png", kw({ width: 80 })], { countdown: 10 });
  try {
    return await result.get({ timeout: 10 });
  } catch (error) {
    if (error instanceof RemoteError) return error.args.length;
    throw error;
  }
}
export const worker: Worker = new Worker(app, { concurrency: 2, queues: ["celery"] });
app.steps.worker.add(new RedisStatePersistence(app, { url: "redis://localhost:6379/1", policy: "fail" }));
export async function revoked(): Promise<ReadonlyMap<string, Date>> {
  const options = { redisUrl: "redis://localhost:6379/1", workerName: "celery@host" };
  const kept = new RedisPersistent({ ...options, state: { revoked: new Set<string>() } });
  await kept.save();
  await purgeOldRevokedTasks(app, { olderThan: 86_400 });
  return new RedisStateDB(options).getRevoked();
}
// @ts-expect-error: a wrong argument does not compile
void add.delay(1, "2");
`;

function sizeOf(path: string): number {
  let sum = 0;
  for (const entry of readdirSync(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) sum += statSync(join(entry.parentPath, entry.name)).size;
  }
  return sum;
}

const mega = (bytes: number): string => (bytes / 1e6).toFixed(1);
