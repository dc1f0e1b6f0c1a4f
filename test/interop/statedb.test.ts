/** A state DB beside Python: its workers hear from ours what was revoked while nobody was online. */
import { Celery } from "petiole";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Fleet, startFleet } from "./harness.ts";

/** `make statedb-faults`: 10,000. */
const COUNT = Number(process.env["PETIOLE_STATEDB_IDS"] ?? 2_000);

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet();
});
afterAll(() => fleet.stop());

test("a Python worker that starts when ours are ready runs nothing of what was revoked before", {
  timeout: 300_000,
}, async () => {
  const statedb = { redisStatedbUrl: `${fleet.redis.url}/3` };
  const client = new Celery("revoker", { brokerUrl: fleet.broker, resultBackend: fleet.backend, ...statedb });
  const calls = Array.from({ length: COUNT }, () =>
    client.signature("demo.record", ["revoked", 1], { queue: "py" }),
  );
  const sent = await client.sendMany(calls);
  await client.control.revoke(sent.map(({ id }) => id));
  await client.close();
  await fleet.worker({ hostname: "ts1@statedb", queues: ["ts"], app: statedb });
  await fleet.worker({ hostname: "ts2@statedb", queues: ["ts"], app: statedb });
  await fleet.pythonWorker({ name: "py@statedb", queues: ["py"], concurrency: 2, mingle: true });
  const [last] = await fleet.app.sendMany([
    fleet.app.signature("demo.record", ["alive", 1], { queue: "py" }),
  ]);
  await last?.get({ timeout: 200 });
  await eventually("the queue is empty", async () => (await fleet.redis.command("LLEN", "py")) === "0");
  await eventually("nothing is held", async () => (await fleet.unacked()) === 0);
  expect(await fleet.seen("revoked")).toEqual([]);
  const known = await fleet.python.value<number>(
    "return len(app.control.inspect(['py@statedb'], timeout=5).revoked()['py@statedb'])",
  );
  expect(known).toBe(COUNT);
  const states = await fleet.python.value<string[]>(
    "return sorted({AsyncResult(i).state for i in args})",
    sent.map(({ id }) => id),
  );
  expect(states).toEqual(["REVOKED"]);
});
