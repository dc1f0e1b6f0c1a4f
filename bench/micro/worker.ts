/**
 * What a worker costs per no-op task, without a network: a real `Worker` drains messages of `memory://`, results stored.
 * `npx tsx bench/micro/worker.ts [messages] [runs] [kind]`, with kind `sync` (default), `async`, `late`, `ignored`, `bound`.
 *
 * The memory broker's own work (envelope text, its decoding, the result's text) is in the figure, as Redis's client side
 * would be. For a profile: `node --cpu-prof --import tsx bench/micro/worker.ts 200000 1`.
 */
import { performance } from "node:perf_hooks";
import { silentLogger } from "../../src/base/logger.ts";
import { Celery } from "../../src/index.ts";
import { dropMemoryBroker, memoryBroker } from "../../src/transports/memory/index.ts";
import { Worker } from "../../src/worker/index.ts";

const MESSAGES = Number(process.argv[2] ?? 200_000);
const RUNS = Number(process.argv[3] ?? 3);
const KIND = process.argv[4] ?? "sync";
const CONCURRENCY = Number(process.argv[5] ?? 100);

interface Row {
  readonly perSecond: number;
  readonly cpuUs: number;
}

/** Messages that wait at once: a heap of them would be measured, not the worker. */
const WAVE = 5_000;

/** One wave: fills the queue, then drains it. Only the drain counts. */
async function wave(): Promise<{ readonly ms: number; readonly cpuUs: number }> {
  const url = "memory://bench-worker";
  const app = new Celery("bench", { brokerUrl: url, resultBackend: url, logger: silentLogger });
  let left = WAVE;
  let done: () => void = () => {};
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  const count = (): void => {
    left -= 1;
    if (left === 0) done();
  };
  const task =
    KIND === "async"
      ? app.task("bench.noop", async (_ts: number, _i: number): Promise<null> => {
          count();
          return null;
        })
      : KIND === "bound"
        ? app.task("bench.noop", { bind: true }, (_task, _ts: number, _i: number): null => {
            count();
            return null;
          })
        : app.task(
            "bench.noop",
            { acksLate: KIND === "late", ignoreResult: KIND === "ignored" },
            (_ts: number, _i: number): null => {
              count();
              return null;
            },
          );
  const calls = Array.from({ length: WAVE }, (_, i): [number, number] => [1.5, i]);
  await (task.delayMany as (calls: readonly [number, number][]) => Promise<unknown>)(calls);
  flatten();
  const worker = new Worker(app, { concurrency: CONCURRENCY });
  const cpu = process.cpuUsage();
  const from = performance.now();
  await worker.start();
  await all;
  const ms = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  await worker.stop();
  await app.close();
  dropMemoryBroker("bench-worker");
  return { ms, cpuUs: user + system };
}

/** Messages were made by joining texts; from a socket they come in one piece. Reading one character makes them so. */
function flatten(): void {
  for (const step of memoryBroker("bench-worker").queue("celery").steps) {
    for (const message of step.toArray()) message.raw.charCodeAt(500);
  }
}

async function once(): Promise<Row> {
  let ms = 0;
  let cpuUs = 0;
  const waves = Math.max(1, Math.round(MESSAGES / WAVE));
  for (let done = 0; done < waves; done += 1) {
    const one = await wave();
    ms += one.ms;
    cpuUs += one.cpuUs;
  }
  return { perSecond: Math.round((waves * WAVE * 1000) / ms), cpuUs: cpuUs / (waves * WAVE) };
}

await wave();
await wave();
const rows: Row[] = [];
for (let run = 0; run < RUNS; run += 1) rows.push(await once());
process.stdout.write(
  `${rows.map((row) => `${KIND}: ${row.perSecond} tasks/s, ${row.cpuUs.toFixed(2)} us CPU per task`).join("\n")}\n`,
);
