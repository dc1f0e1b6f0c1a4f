/**
 * The state DB: `npx tsx bench/micro/statedb.ts URL` prints how long a client's `revoke()` takes until it is written, how long a
 * worker takes to load 50,000 ids, and how long its checkpoint of them holds the event loop up.
 */
import { randomUUID } from "node:crypto";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { Celery } from "../../src/index.ts";
import { openStateDb } from "../../src/statedb/index.ts";
import { Revoked } from "../../src/worker/revoked.ts";

const CALLS = 10_000;
const IDS = 50_000;

const url = process.argv[2];
if (url === undefined)
  throw new TypeError("give the URL of a Redis that may be written to: redis://localhost:6379/9");
const prefix = `bench:${randomUUID()}:`;

const app = new Celery("bench", {
  brokerUrl: url,
  resultBackend: "disabled://",
  redisStatedbUrl: url,
  redisStateKeyPrefix: prefix,
});
await app.control.revoke("first");
const times: number[] = [];
for (let call = 0; call < CALLS; call += 1) {
  const from = performance.now();
  await app.control.revoke(`id-${call}`);
  times.push(performance.now() - from);
}
await app.close();
times.sort((a, b) => a - b);
const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(2);
process.stdout.write(`revoke: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, of ${CALLS} calls\n`);

const options = {
  url,
  prefix,
  ttlSeconds: null,
  shared: true,
  clock: systemClock,
  logger: silentLogger,
  clientName: null,
};
const db = await openStateDb({ ...options, node: "w1@bench" });
await db.start(new AbortController().signal);
await db.revoke({ ids: Array.from({ length: IDS - CALLS - 1 }, () => randomUUID()), stamps: [] });
for (const round of ["first", "second", "after a checkpoint"]) {
  const revoked = new Revoked({ clock: systemClock });
  revoked.keepFor(null);
  const [from, cpu] = [performance.now(), process.cpuUsage()];
  revoked.replace(await db.load(revoked.max));
  const took = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  const cpuMs = ((user + system) / 1000).toFixed(0);
  process.stdout.write(
    `load of ${revoked.ids.size} ids (${round}): ${took.toFixed(0)} ms, ${cpuMs} ms of CPU\n`,
  );
  if (round === "second") await checkpoint(revoked);
}

async function checkpoint(revoked: Revoked): Promise<void> {
  let [longest, last, done] = [0, performance.now(), false];
  const turn = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!done) setImmediate(turn);
  };
  turn();
  const from = performance.now();
  await db.checkpoint({ ids: revoked.ids.ages(), clock: 1 });
  done = true;
  const took = performance.now() - from;
  process.stdout.write(
    `checkpoint of ${revoked.ids.size} ids: ${took.toFixed(0)} ms, in turns of ${longest.toFixed(1)} ms at most\n`,
  );
}
const { nodes } = await db.overview();
await db.purge({ olderThanSeconds: 0, node: null });
await db.stop();
process.stdout.write(`cleaned up after ${nodes.length} worker\n`);
