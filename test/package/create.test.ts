/** A new user's way: `npm create petiole`, install, the worker, the first result. From the packed packages, outside the repository. */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";

/** From the start of the worker to the first result, both by npm. */
const FIRST_RESULT_MS = 10_000;
const FLAGS = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"];

let home: string;

beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), "petiole-create-"));
});
afterAll(() => {
  rmSync(home, { recursive: true, force: true });
});

function pack(folder: string): string {
  const out = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", home], {
    cwd: join(root, folder),
    encoding: "utf8",
  });
  const [{ filename }] = JSON.parse(out) as [{ filename: string }];
  return join(home, filename);
}

test("npm create petiole, npm install, and the first task's result within ten seconds, without a server", async () => {
  const packages = [pack("."), pack("packages/create-petiole")];
  const env = { ...process.env, NO_COLOR: "1" };
  const npm = (cwd: string, ...args: string[]): string =>
    execFileSync("npm", args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  // What npm does for `npm create petiole`: it installs the two and runs the program of one.
  npm(home, "install", ...FLAGS, "--prefix", home, ...packages);
  expect(npm(home, "exec", "--no-install", "--", "create-petiole", "first", "--yes")).toContain("cd first\n");
  const project = join(home, "first");
  npm(project, "install", ...FLAGS, packages[0] as string);
  expect(npm(project, "run", "typecheck")).toContain("tsc");

  const started = performance.now();
  // A group of its own: npm hands no signal on.
  const worker = spawn("npm", ["run", "dev"], {
    cwd: project,
    env,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  worker.stdout.on("data", (chunk: Buffer) => (log += chunk.toString()));
  worker.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  try {
    const call = await new Promise<string>((resolve, reject) => {
      const child = spawn("npm", ["run", "--silent", "call"], { cwd: project, env });
      let out = "";
      child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
      child.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
      child.once("error", reject);
      child.once("close", () => resolve(out));
    });
    expect(call).toBe("5\n");
    const tookMs = performance.now() - started;
    process.stderr.write(`npm run dev to the first result: ${(tookMs / 1000).toFixed(1)} s\n`);
    expect(tookMs).toBeLessThan(FIRST_RESULT_MS);
  } finally {
    process.kill(-(worker.pid as number), "SIGINT");
    await eventually("the worker has stopped", () => worker.exitCode !== null || worker.signalCode !== null, {
      timeoutMs: 15_000,
    });
  }
  expect(log).toContain("first.add");
  expect(log).toContain(`node ${process.versions.node} `);
});
