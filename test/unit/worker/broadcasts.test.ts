/** Broadcasts in a worker whose broker is played by the test. */
import { afterEach, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { Gate, message, turns, WorkerRig } from "./support.ts";

let rig: WorkerRig;
afterEach(() => rig?.stop());

test("nobody fills a worker's memory with broadcasts, and what never started is not put back", async () => {
  rig = new WorkerRig({
    app: { taskQueues: [{ name: "celery" }, { name: "news", exchangeType: "fanout" }] },
    worker: { concurrency: 1 },
  });
  const gate = new Gate();
  let ran = 0;
  rig.app.task("hear", async () => {
    ran += 1;
    await gate.promise;
  });
  await rig.start();
  const most = 1_000 + rig.consumer.prefetch;
  for (let i = 0; i < most + 500; i += 1) {
    rig.transport.listeners.get("news")?.(message({ task: "hear", id: `b${i}` }));
  }
  await turns();
  expect(rig.logger.of("warn")).toEqual(["a broadcast was dropped: too many messages wait"]);
  gate.open();
  await eventually("all that waited have run", () => ran > most);
  // One more: the one that ran did not wait.
  expect(ran).toBe(most + 1);
  expect(rig.consumer.settled.size).toBe(0);
  expect(rig.meta("b0")).toMatchObject({ status: "SUCCESS" });
});
