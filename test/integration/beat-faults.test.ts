/**
 * Three beats on one schedule in Redis, whose leader is killed, stopped and continued, cut off, and killed at a publish, in turn. Every slot
 * of an entry that catches up with all is executed once; of one that catches up with the latest, none twice. `make beat-faults` does it
 * a hundred times.
 */
import { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runOf } from "../../src/beat/runs.ts";
import { type CutProxy, startCutProxy } from "../support/cut-proxy.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, makeProject, type Project, petiole } from "./cli-support.ts";

const ROUNDS = Number(process.env["PETIOLE_BEAT_FAULTS"] ?? 4);
/** The suite's machine may be busy; the target's is not. */
const LONGEST_TAKE_OVER_MS = process.env["PETIOLE_BEAT_FAULTS"] === undefined ? 30_000 : 3000;
const SLOT_MS = 1000;
const KINDS = ["kill", "stop", "cut", "kill at a publish"] as const;
type Kind = (typeof KINDS)[number];

const TASKS = `
import { Celery, schedule } from ${petiole};
const each = (catchUp) => ({
  task: "shop.tick", schedule: schedule(1), args: [catchUp], startTime: new Date(Number(process.env.START)), catchUp,
  options: { queue: "ticks" },
});
export const app = new Celery("shop", {
  brokerUrl: process.env.BROKER, redbeatRedisUrl: process.env.STORE, beatScheduler: "redbeat",
  beatSchedule: { all: each("all"), once: each("once") },
});
`;

let redis: RedisServer;
let project: Project;
beforeAll(async () => {
  redis = await startRedis();
  project = makeProject();
  project.write("tasks.mjs", TASKS);
});
afterAll(async () => {
  for (const { process, proxy } of beats) {
    process.kill("SIGKILL");
    await process.ended;
    await proxy.close();
  }
  project?.remove();
  await redis?.stop();
});

interface BeatProcess {
  readonly process: CliProcess;
  readonly proxy: CutProxy;
}

const beats = new Set<BeatProcess>();
const startMs = Math.ceil(Date.now() / SLOT_MS) * SLOT_MS;

let started = 0;
async function startBeat(): Promise<void> {
  started += 1;
  const proxy = await startCutProxy(redis.port);
  const process = new CliProcess(["-A", "tasks.mjs", "beat", "-l", "INFO"], {
    cwd: project.dir,
    env: {
      BROKER: `${redis.url}/0`,
      STORE: `redis://127.0.0.1:${proxy.port}/1`,
      START: String(startMs),
      KILL_WHEN: started % 2 === 0 ? "before" : "after",
    },
    nodeArgs: ["--import", new URL("../support/kill-at-publish.mjs", import.meta.url).href],
  });
  beats.add({ process, proxy });
  await process.says(/another beat leads: this one stands by|Sending due task/);
}

/** `<reign> <host>:<pid>:<random>`; '': nobody leads. */
const lock = async (): Promise<string> => {
  const value = await redis.command(
    "EVAL",
    "redis.call('SELECT', 1) return redis.call('GET', 'redbeat::lock') or ''",
    "0",
  );
  return value.trim();
};

async function leader(): Promise<{ readonly token: string; readonly beat: BeatProcess }> {
  return eventually("a beat leads", async () => {
    const token = await lock();
    const pid = Number(token.split(":")[1]);
    const beat = [...beats].find((one) => one.process.child.pid === pid);
    return beat !== undefined && { token, beat };
  });
}

async function end(beat: BeatProcess): Promise<void> {
  beats.delete(beat);
  await beat.process.ended;
  await beat.proxy.close();
}

/** ms until another leads. */
async function fault(kind: Kind): Promise<number> {
  const { token, beat } = await leader();
  const { process, proxy } = beat;
  let startedMs = performance.now();
  if (kind === "kill") process.kill("SIGKILL");
  else if (kind === "stop") process.kill("SIGSTOP");
  else if (kind === "cut") proxy.cut();
  else process.kill("SIGUSR2");
  if (kind.startsWith("kill")) {
    await end(beat);
    startedMs = performance.now();
  }
  await eventually("another leads", async () => !["", token].includes(await lock()), { intervalMs: 10 });
  const tookMs = performance.now() - startedMs;
  if (kind === "stop") process.kill("SIGCONT");
  if (kind === "cut") proxy.mend();
  if (kind.startsWith("kill")) await startBeat();
  else await process.says(/this beat leads no more: it stands by/);
  return tookMs;
}

test(
  `${ROUNDS} times: every slot is executed once, and another leads within seconds`,
  async () => {
    const executed = new Map<string, number>();
    const app = new Celery("shop", { brokerUrl: `${redis.url}/0` });
    app.task("shop.tick", { bind: true }, (task, _which: string) => {
      const id = task.request.id ?? "";
      executed.set(id, (executed.get(id) ?? 0) + 1);
    });
    const worker = new Worker(app, { concurrency: 4, queues: ["ticks"] });
    await worker.start();
    await Promise.all([startBeat(), startBeat(), startBeat()]);
    const tookMs: number[] = [];
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        const before = executed.size;
        await eventually("slots are executed", () => executed.size > before);
        tookMs.push(await fault(KINDS[round % KINDS.length] as Kind));
      }
      const lastMs = Math.floor(Date.now() / SLOT_MS) * SLOT_MS;
      const due = Math.floor((lastMs - startMs) / SLOT_MS) + 1;
      const idsOf = (entry: string, count: number): string[] =>
        Array.from({ length: count }, (_, slot) => runOf("shop", entry, startMs + slot * SLOT_MS).id);
      const expected = idsOf("all", due);
      await eventually("all slots are executed", () => expected.every((id) => executed.has(id)));
      for (const { process } of beats) process.kill("SIGTERM");
      await Promise.all([...beats].map(end));
      await eventually("the queue is empty", async () => (await redis.command("LLEN", "ticks")) === "0");
      expect([...executed.values()].filter((count) => count > 1)).toEqual([]);
      const known = new Set([...idsOf("all", due + 60), ...idsOf("once", due + 60)]);
      expect([...executed.keys()].filter((id) => !known.has(id))).toEqual([]);
      expect(await lock()).toBe("");
      expect(Math.max(...tookMs)).toBeLessThan(LONGEST_TAKE_OVER_MS);
      const sorted = tookMs.toSorted((a, b) => a - b).map(Math.round);
      process.stdout.write(
        `beat-faults: ${ROUNDS} faults, ${due} slots each once; take-over median ${sorted[sorted.length >> 1]} ms, longest ${sorted.at(-1)} ms\n`,
      );
    } finally {
      await worker.stop();
      await app.close();
    }
  },
  120_000 + ROUNDS * 10_000,
);
