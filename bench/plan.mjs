/** What one round measures: each section lists `{ peer, key, measure }`, peers in turn. `key` names a row of the tables. */
import { petiolePrefork } from "./peers/index.mjs";
import { commandsPerTask, drain } from "./sections/drain.mjs";
import { enqueue } from "./sections/enqueue.mjs";
import { idle } from "./sections/idle.mjs";
import { latency, startUp } from "./sections/latency.mjs";

const DRAIN_ORDER = [1, 10, 100, 1000, 2];
/** Python Celery is slower by an order of magnitude: fewer tasks tell as much. */
const count = (peer, quick, { full, few, celery }) => (peer.name === "celery" ? celery : quick ? few : full);

export const SECTIONS = {
  enqueue: ({ peers, quick }) =>
    [
      { mode: "sequential", full: 5000, few: 1000, celery: 1000, warmup: 500 },
      { mode: "inflight", full: 100_000, few: 10_000, celery: 2000, warmup: 20_000 },
      { mode: "bulk", full: 100_000, few: 20_000, celery: 2000, warmup: 20_000 },
    ].flatMap(({ mode, warmup, ...sizes }) =>
      peers.map((peer) => ({
        peer,
        key: `enqueue ${mode}`,
        measure: () =>
          enqueue({
            peer,
            mode,
            count: count(peer, quick, sizes),
            warmup: peer.name === "celery" ? 100 : warmup,
          }),
      })),
    ),
  drain: ({ peers, quick, only }) =>
    DRAIN_ORDER.filter((concurrency) => !only || only.includes(concurrency)).flatMap((concurrency) =>
      peers
        .filter((peer) => peer.concurrencies.includes(concurrency))
        .map((peer) => ({
          peer,
          key: `drain c=${concurrency}`,
          measure: () =>
            drain({
              peer,
              concurrency,
              count: count(peer, quick, { full: 50_000, few: 10_000, celery: 3000 }),
            }),
        })),
    ),
  prefork: ({ peers, quick }) =>
    peers
      .filter(({ name }) => name !== "bullmq")
      .map((peer) => (peer.name === "petiole" ? petiolePrefork : peer))
      .map((peer) => ({
        peer,
        key: "prefork c=2",
        measure: () =>
          drain({
            peer,
            concurrency: 2,
            count: count(peer, quick, { full: 20_000, few: 8000, celery: 3000 }),
          }),
      })),
  latency: ({ peers, quick }) =>
    [40, 500].flatMap((perSecond) =>
      peers.map((peer) => ({
        peer,
        key: `latency ${perSecond}/s`,
        measure: () => latency({ peer, perSecond, seconds: quick ? 3 : 6 }),
      })),
    ),
  startup: ({ peers }) =>
    peers.map((peer) => ({ peer, key: "start-up", measure: () => startUp({ peer, spawns: 3 }) })),
  idle: ({ peers, quick }) =>
    peers.map((peer) => ({ peer, key: "idle", measure: () => idle({ peer, seconds: quick ? 5 : 10 }) })),
  commands: ({ peers }) =>
    peers.map((peer) => ({
      peer,
      key: "commands",
      measure: () => commandsPerTask({ peer, concurrency: 100, count: peer.name === "celery" ? 500 : 5000 }),
    })),
};

export const measurementsOf = (section, options) => section(options);
