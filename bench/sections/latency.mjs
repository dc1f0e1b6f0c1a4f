/** From the call of `delay` to the start of the body, and from the spawn of a worker to its first body. */
import path from "node:path";
import { firstStamp, produce, stamps, until, withServer, withWorker } from "../lib/run-peer.mjs";
import { now } from "../lib/stamps.mjs";
import { median, percentile } from "../lib/stats.mjs";

const CONCURRENCY = 10;
const WARMUP = 20;

/** `{ p50Ms, p99Ms }` of calls at a steady rate. */
export function latency({ peer, perSecond, seconds }) {
  return withServer(peer, async ({ server, dir }) => {
    const file = path.join(dir, "stamps");
    return withWorker({ peer, server, concurrency: CONCURRENCY, out: file }, async (worker) => {
      await produce(peer, server, { mode: "one", count: 1 });
      await firstStamp({ worker, file, what: `starting ${peer.name}` });
      const count = perSecond * seconds;
      await produce(peer, server, { mode: "rate", count, perSecond, warmup: WARMUP });
      const all = await until(() => (stamps(file).length > count + WARMUP ? stamps(file) : null), {
        what: `timing ${peer.name} at ${perSecond}/s`,
        worker,
        everyMs: 100,
      });
      const waits = all.slice(1 + WARMUP).map(([called, started]) => started - called);
      return { p50Ms: percentile(waits, 0.5), p99Ms: percentile(waits, 0.99), n: waits.length };
    });
  });
}

/** `{ readyMs }`: the median of some spawns. A task waits already, no other worker is there. */
export async function startUp({ peer, spawns }) {
  const times = [];
  for (let i = 0; i < spawns; i += 1) times.push(await oneStart(peer));
  return { readyMs: median(times) };
}

function oneStart(peer) {
  return withServer(peer, async ({ server, dir }) => {
    const file = path.join(dir, "stamps");
    await produce(peer, server, { mode: "one", count: 1 });
    const spawnedAt = now();
    return withWorker({ peer, server, concurrency: CONCURRENCY, out: file }, async (worker) => {
      const [, started] = await firstStamp({ worker, file, what: `starting ${peer.name}` });
      return started - spawnedAt;
    });
  });
}
