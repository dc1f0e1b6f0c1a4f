/** What is promised. `value` reads one round; `must` and `aim` are limits of it, at least or at most. */
import { summary } from "./lib/stats.mjs";

const rate = (peer, key) => (m) => m(peer, key, "perSecond");
const ratio = (key, field, other) => (m) => m("petiole", key, field) / m(other, key, field);
const own = (key, field) => (m) => m("petiole", key, field);
const drainRatio = (c) => ratio(`drain c=${c}`, "perSecond", "bullmq");

export const TARGETS = [
  { name: "drain c=1 / BullMQ", value: drainRatio(1), atLeast: true, must: 2.5, aim: 3.5 },
  { name: "drain c=10 / BullMQ", value: drainRatio(10), atLeast: true, must: 1.6, aim: 2.5 },
  { name: "drain c=100 / BullMQ", value: drainRatio(100), atLeast: true, must: 2, aim: 3 },
  { name: "drain c=1000 / BullMQ", value: drainRatio(1000), atLeast: true, must: 2, aim: 3 },
  {
    name: "drain c=100 / Celery prefork -c 2",
    value: (m) => rate("petiole", "drain c=100")(m) / rate("celery", "drain c=2")(m),
    atLeast: true,
    must: 25,
    aim: 50,
  },
  {
    name: "prefork c=2 / Celery prefork -c 2",
    value: ratio("prefork c=2", "perSecond", "celery"),
    atLeast: true,
    must: 5,
    aim: 8,
  },
  {
    name: "enqueue, 1000 in flight / BullMQ",
    value: ratio("enqueue inflight", "perSecond", "bullmq"),
    atLeast: true,
    must: 2.5,
    aim: 3.5,
  },
  {
    name: "enqueue, bulk / BullMQ",
    value: ratio("enqueue bulk", "perSecond", "bullmq"),
    atLeast: true,
    must: 3,
    aim: 4.5,
  },
  {
    name: "worker CPU us/task, c=100",
    value: own("drain c=100", "workerCpuUs"),
    atLeast: false,
    must: 30,
    aim: 20,
  },
  {
    name: "Redis CPU us/task, c=100",
    value: own("drain c=100", "redisCpuUs"),
    atLeast: false,
    must: 28,
    aim: 18,
  },
  {
    name: "latency p50 at 40/s / BullMQ",
    value: ratio("latency 40/s", "p50Ms", "bullmq"),
    atLeast: false,
    must: 0.6,
    aim: 0.6,
  },
  {
    name: "latency p50 at 500/s / BullMQ",
    value: ratio("latency 500/s", "p50Ms", "bullmq"),
    atLeast: false,
    must: 0.6,
    aim: 0.6,
  },
  { name: "spawn to first body, ms", value: own("start-up", "readyMs"), atLeast: false, must: 250, aim: 250 },
  { name: "idle RSS, MB", value: own("idle", "rssMB"), atLeast: false, must: 70, aim: 70 },
  { name: "idle CPU, %", value: own("idle", "cpuPercent"), atLeast: false, must: 1, aim: 1 },
  { name: "idle commands/s", value: own("idle", "commandsPerSecond"), atLeast: false, must: 3, aim: 3 },
];

/**
 * One line a target: `{ name, value, must, aim, verdict }`; a target whose figures were not made is left out. A ratio is
 * taken within each round, where the peers ran next to each other; the value is the median over the rounds.
 *
 * @param rounds one `(peer, key, field) => number` a round; NaN where there is no figure
 */
export function judge(rounds) {
  return TARGETS.flatMap(({ name, value, atLeast, must, aim }) => {
    const got = summary(rounds.map((of) => value(of)))?.median;
    if (got === undefined) return [];
    const reaches = (limit) => (atLeast ? got >= limit : got <= limit);
    const verdict = reaches(aim) ? "aim reached" : reaches(must) ? "must reached" : "NOT REACHED";
    const sign = atLeast ? ">=" : "<=";
    return [{ name, value: got, must: `${sign} ${must}`, aim: `${sign} ${aim}`, verdict }];
  });
}
