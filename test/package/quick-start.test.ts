/** The README's quick start, followed literally in a user's folder; only the server's port is another one. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { python } from "../support/python.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { withoutPython } from "../support/without-python.ts";
import { installPacked, type UserFolder } from "./support.ts";

const readme = readFileSync(join(root, "README.md"), "utf8");
const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  devDependencies: Record<string, string>;
};

let redis: RedisServer;
let user: UserFolder;
let worker: ChildProcess | undefined;

beforeAll(async () => {
  redis = await startRedis();
  user = installPacked([`tsx@${devDependencies["tsx"]}`]);
});

afterAll(async () => {
  worker?.kill("SIGKILL");
  user?.remove();
  await redis?.stop();
});

/** The fence after a line that is the file's name, or the first one in this language after a heading. */
function fence(language: string, after: string): string {
  const at = readme.indexOf(after);
  const found = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(readme.slice(at));
  if (at < 0 || found === null) throw new Error(`the README has no ${language} after ${after}`);
  return (found[1] ?? "").replaceAll("localhost:6379", `127.0.0.1:${redis.port}`);
}

/** The worker of the README, in the user's folder; not through npx, which would not hand a signal on. */
async function startWorker(): Promise<() => string> {
  const started = spawn(
    join(user.dir, "node_modules/.bin/petiole"),
    ["-A", "app.ts", "worker", "-l", "info"],
    {
      cwd: user.dir,
    },
  );
  worker = started;
  let log = "";
  started.stdout.on("data", (chunk: Buffer) => (log += chunk.toString()));
  started.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  await eventually(
    "the worker is ready",
    () => {
      if (started.exitCode !== null) throw new Error(log);
      return / ready\b/.test(log);
    },
    { timeoutMs: 30_000 },
  );
  return () => log;
}

test("the worker and the call work as written", async () => {
  writeFileSync(join(user.dir, "app.ts"), fence("ts", "`app.ts`\n"));
  writeFileSync(join(user.dir, "call.ts"), fence("ts", "`call.ts`\n"));
  expect(readme).toContain("npx petiole -A app.ts worker -l info");
  expect(readme).toContain("npx tsx call.ts");
  const log = await startWorker();
  expect(user.run("npx", "--no-install", "tsx", "call.ts")).toBe("5\n");
  expect(log()).toContain("shop.add");
});

test.skipIf(withoutPython !== undefined)("the call from Python works as written", () => {
  writeFileSync(join(user.dir, "call.py"), fence("python", "### The same task from Python"));
  expect(user.run(python(), "call.py")).toBe("5\n");
});
