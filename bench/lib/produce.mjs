/**
 * Carries out one order of a JavaScript producer and prints `{ seconds, cpuSeconds, count }`.
 *
 * | mode       | what is timed |
 * |------------|---|
 * | sequential | `count` awaits, one after the other |
 * | inflight   | `count` calls, 1000 of them not yet answered at any time |
 * | bulk       | `count` tasks in calls of 1000 |
 * | fill       | as bulk, without a warm-up: what a drain starts from |
 * | rate       | `count` calls, `perSecond` a second, never waiting for an answer |
 * | one        | a single task that reports its start at once |
 *
 * `warmup` tasks are sent the same way before the clock starts.
 */
import { now } from "./stamps.mjs";

const IN_FLIGHT = 1000;
const PER_CALL = 1000;

/** @param peer `{ noop(i), many(from, count), stamp(at), first(), clear(), close() }`: each returns a promise. */
export async function produce(peer) {
  const order = JSON.parse(process.argv[2]);
  const send = {
    sequential: (count) => sequential(peer, count),
    inflight: (count) => inFlight(peer, count),
    bulk: (count) => bulk(peer, count),
    fill: (count) => bulk(peer, count),
    rate: (count) => atRate(peer, { perSecond: order.perSecond, count }),
    one: () => peer.first(),
  }[order.mode];
  if (order.warmup > 0) await send(order.warmup);
  const before = process.cpuUsage();
  const startedAt = now();
  await send(order.count);
  const seconds = (now() - startedAt) / 1000;
  const cpu = process.cpuUsage(before);
  await peer.close();
  console.log(JSON.stringify({ seconds, cpuSeconds: (cpu.user + cpu.system) / 1e6, count: order.count }));
}

async function sequential(peer, count) {
  for (let i = 0; i < count; i += 1) await peer.noop(i);
}

async function inFlight(peer, count) {
  let next = 0;
  const lane = async () => {
    while (next < count) {
      next += 1;
      await peer.noop(next);
    }
  };
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, count) }, lane));
}

async function bulk(peer, count) {
  for (let from = 0; from < count; from += PER_CALL) await peer.many(from, Math.min(PER_CALL, count - from));
}

/** Open loop: a slow answer does not slow the calls down. */
async function atRate(peer, { perSecond, count }) {
  const startedAt = now();
  const open = new Set();
  for (let i = 0; i < count; i += 1) {
    const due = startedAt + (i * 1000) / perSecond;
    const early = due - now();
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    const sent = peer.stamp(now());
    open.add(sent);
    void sent.then(() => open.delete(sent));
  }
  await Promise.all(open);
}
