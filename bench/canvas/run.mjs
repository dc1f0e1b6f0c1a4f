#!/usr/bin/env node
/**
 * `make canvas-bench`, or `node bench/canvas/run.mjs [--sizes 1000,10000] [--rounds 5]`
 *
 * Chords of many header tasks, one worker: seconds from `delay()` to the body's result, the longest time for which the event loop
 * of the client and that of the worker stood still, and the longest command of Redis. Rounds alternate between the sizes; medians,
 * of what stood still the worst as well. Prints JSON; exit code 1 when a result is wrong.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chord } from "petiole";
import { LoopProbe } from "../lib/loop-probe.mjs";
import { start } from "../lib/process-tree.mjs";
import { RedisServer } from "../lib/redis-server.mjs";

const { values: flags } = parseArgs({
  options: { sizes: { type: "string", default: "1000,10000" }, rounds: { type: "string", default: "5" } },
});
const sizes = flags.sizes.split(",").map(Number);
const rounds = Number(flags.rounds);
const file = (name) => fileURLToPath(new URL(name, import.meta.url));

const server = await RedisServer.start();
const redis = server.client();
process.env.CANVAS_BROKER = `redis://127.0.0.1:${server.port}/0`;
process.env.CANVAS_BACKEND = `redis://127.0.0.1:${server.port}/1`;
const { app, part, sum, blocked } = await import("./tasks.mjs");
const worker = start(
  process.execPath,
  [file("../../dist/cli/main.js"), "-A", file("tasks.mjs"), "worker", "-c", "100", "-n", "w@canvas"],
  { cwd: file("../../"), env: process.env },
);
await redis.config("SET", "slowlog-log-slower-than", "500", "slowlog-max-len", "1000");
const probe = new LoopProbe();
async function workerBlocked() {
  const { wall, cpu } = await (await blocked.delay()).get({ timeout: 60 });
  return { workerMs: wall, workerCpuMs: cpu };
}

async function run(size, send) {
  await workerBlocked();
  await redis.slowlog("RESET");
  probe.start();
  const startedMs = performance.now();
  const result = await send();
  const sentMs = performance.now();
  const value = await result.get({ timeout: 120 });
  const endedMs = performance.now();
  const client = probe.stop();
  if (value !== (size * (size - 1)) / 2) throw new Error(`a chord of ${size} gave ${value}`);
  const slow = (await redis.slowlog("GET", -1)).map(([, , us]) => us / 1000);
  return {
    sentMs: sentMs - startedMs,
    ms: endedMs - startedMs,
    clientMs: client.wall,
    clientCpuMs: client.cpu,
    ...(await workerBlocked()),
    redisMs: Math.max(0.5, ...slow),
  };
}

const median = (all) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)];
const rounded = (ms) => Math.round(ms * 10) / 10;
const { send: sendInWorker } = await import("./tasks.mjs");
const ways = {
  client: (size) => {
    const header = Array.from({ length: size }, (_, n) => part.s(n));
    return () => chord(header, sum.s()).delay();
  },
  worker: (size) => () => sendInWorker.delay(size),
};
const samples = new Map();
try {
  // Code that is loaded and compiled for the first time stands still for other reasons.
  for (const way of Object.values(ways)) await run(sizes[0], way(sizes[0]));
  for (let round = 0; round < rounds; round += 1)
    for (const [name, way] of Object.entries(ways))
      for (const size of sizes) {
        const key = `${name} ${size}`;
        samples.set(key, [...(samples.get(key) ?? []), await run(size, way(size))]);
      }
} finally {
  await app.close();
  worker.child.kill("SIGTERM");
  await worker.exited;
  redis.disconnect();
  await server.stop();
}
const report = Object.fromEntries(
  [...samples].map(([key, all]) => {
    const of = (name) => ({
      median: rounded(median(all.map((one) => one[name]))),
      worst: rounded(Math.max(...all.map((one) => one[name]))),
    });
    return [
      key,
      {
        seconds: rounded(median(all.map(({ ms }) => ms)) / 100) / 10,
        sentMs: of("sentMs"),
        clientBlockedMs: of("clientMs"),
        clientBlockedCpuMs: of("clientCpuMs"),
        workerBlockedMs: of("workerMs"),
        workerBlockedCpuMs: of("workerCpuMs"),
        redisCommandMs: of("redisMs"),
      },
    ];
  }),
);
console.log(JSON.stringify({ rounds, ...report }, null, 1));
