/** `make demo` is the first thing that a visitor runs. */
import { spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { root } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { trackProcess } from "../support/left-overs.ts";
import { postgresPrograms } from "../support/postgres.ts";
import { freePort } from "../support/redis.ts";

const READY = "Ctrl-C stops everything.";

describe.each([
  { how: "without a server", options: [], servers: [] },
  { how: "on Redis and PostgreSQL", options: ["--redis"], servers: ["postgres", "redis"] },
])("$how", ({ options, servers }) => {
  const needsServers = servers.length > 0;

  // PostgreSQL is installed where `scripts/ensure-servers.mjs` may.
  test.skipIf(needsServers && postgresPrograms() === null)(
    "the demo starts the example, says what to try, shows what its processes log, and Ctrl-C stops all of it",
    async () => {
      const port = await freePort();
      const demo = spawn(process.execPath, ["scripts/demo.mjs", ...options], {
        cwd: root,
        // What the visitor has set for programs of their own is not the demo's.
        env: {
          ...process.env,
          PORT: String(port),
          NO_COLOR: "1",
          CELERY_BROKER_URL: "redis://127.0.0.1:1/0",
        },
        stdio: ["ignore", "pipe", "pipe"],
      });
      trackProcess(demo, "scripts/demo.mjs");
      let out = "";
      demo.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
      demo.stderr.on("data", (chunk: Buffer) => (out += chunk.toString()));
      await eventually(
        "it is up",
        () => {
          if (demo.exitCode !== null) throw new Error(out);
          return out.includes(READY);
        },
        { timeoutMs: 90_000 },
      );
      expect(out).toContain(`curl 'http://127.0.0.1:${port}/tasks/add/?x=10&y=20'`);
      expect(out).toContain('"result":30');
      const answer = await fetch(`http://127.0.0.1:${port}/tasks/hello/`);
      const { task_id: id } = (await answer.json()) as { task_id: string };
      await eventually("the log of a worker is shown", () =>
        new RegExp(`^worker[12] +│ .*web\\.hello\\[${id}\\] succeeded`, "m").test(out),
      );
      expect(out.match(/psql (postgresql:\S+)/)?.length === 2).toBe(needsServers);
      expect(needsServers ? await submissions(out) : [id]).toContain(id);
      demo.kill("SIGINT");
      await eventually("it has ended", () => demo.exitCode !== null, { timeoutMs: 30_000 });
      expect(demo.exitCode).toBe(130);
      const stopped = [...out.matchAll(/^stopped (\w+) \(pid (\d+)\)$/gm)];
      expect(stopped.map(([, name]) => name)).toEqual([
        "beat",
        expect.stringMatching(/^worker[12]$/),
        expect.stringMatching(/^worker[12]$/),
        "web",
        ...servers,
      ]);
      expect(stopped.map(([, , pid]) => Number(pid)).filter(isAlive)).toEqual([]);
    },
  );
});

/** The ids in the database that the demo says it uses. */
async function submissions(out: string): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: out.match(/psql (postgresql:\S+)/)?.[1] });
  await client.connect();
  const { rows } = await client.query<{ task_id: string }>("SELECT task_id FROM submissions");
  await client.end();
  return rows.map((row) => row.task_id);
}

test("a port that is taken is told, with how to choose another one", async () => {
  const holder = createServer();
  const port = await new Promise<number>((resolve) => {
    holder.listen(0, "127.0.0.1", () => resolve((holder.address() as { port: number }).port));
  });
  try {
    const run = spawnSync(process.execPath, ["scripts/demo.mjs"], {
      cwd: root,
      env: { ...process.env, PORT: String(port) },
      encoding: "utf8",
      timeout: 60_000,
    });
    expect([run.status, run.stdout]).toEqual([1, ""]);
    expect(run.stderr).toBe(
      `port ${port} is taken by another program: choose another one, as in PORT=${port + 1} make demo\n`,
    );
  } finally {
    holder.close();
  }
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
