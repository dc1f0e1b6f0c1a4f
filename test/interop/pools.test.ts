/** A Python client, a Petiole worker whose tasks run in children: Python raises what its own pool would have raised. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PythonClient } from "../support/python.ts";
import { type CliWorker, type Fleet, startFleet } from "./harness.ts";

describe.each(["prefork", "threads"])("the pool %s", (pool) => {
  let fleet: Fleet;
  let python: PythonClient;
  let worker: CliWorker;

  beforeAll(async () => {
    fleet = await startFleet();
    ({ python } = fleet);
    worker = await fleet.cliWorker({ name: "ts@test", concurrency: 2, args: ["-P", pool] });
  });
  afterAll(() => fleet?.stop());

  test("runs a TypeScript app's tasks, and values of every type come back", async () => {
    expect(await python.run("return add.delay(2, 3).get(timeout=20)")).toMatchObject({ value: 5 });
    expect(await python.value("return whoami.delay('x').get(timeout=10)")).toEqual(["ts", "ts@test", "x"]);
    const round = `
      import datetime, decimal, uuid
      value = [datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc), 2**70, uuid.UUID(int=5), decimal.Decimal('1.50'), b'\\x00\\xff']
      return echo.delay(value).get(timeout=10) == value
    `;
    expect(await python.value(round)).toBe(true);
  });

  test("a failure, a retry and states of its own are as anywhere", async () => {
    const failed = await python.raised("fail.delay('broken').get(timeout=10)");
    expect([failed.type, failed.message]).toEqual(["ValueError", expect.stringContaining("broken")]);
    expect(await python.value("return flaky.delay(2).get(timeout=20)")).toBe(2);
  });

  test("the soft limit is SoftTimeLimitExceeded, the hard one TimeLimitExceeded with its seconds", async () => {
    const soft = await python.raised("hold.apply_async(('never',), soft_time_limit=0.4).get(timeout=10)");
    expect([soft.type, soft.module]).toEqual(["SoftTimeLimitExceeded", "billiard.exceptions"]);
    const hard = await python.raised("hold.apply_async(('never',), time_limit=1).get(timeout=10)");
    expect([hard.type, hard.module]).toEqual(["TimeLimitExceeded", "billiard.exceptions"]);
    const id = "hard-limit";
    await python.raised(`hold.apply_async(('never',), time_limit=1, task_id='${id}').get(timeout=10)`);
    expect(await fleet.meta(id)).toMatchObject({
      status: "FAILURE",
      result: { exc_type: "TimeLimitExceeded", exc_message: [1], exc_module: "billiard.exceptions" },
      traceback: null,
    });
  });

  // Threads have no signals.
  if (pool === "prefork") killed();

  function killed(): void {
    test("a child that is killed is WorkerLostError", async () => {
      const pending = python.raised("hold.delay('killed').get(timeout=20)");
      await fleet.waiting("killed");
      const children = readFileSync(`/proc/${worker.pid}/task/${worker.pid}/children`, "utf8");
      for (const child of children.split(" ").filter(Boolean)) process.kill(Number(child), "SIGKILL");
      const lost = await pending;
      expect([lost.type, lost.module]).toEqual(["WorkerLostError", "billiard.exceptions"]);
      expect(lost.message).toContain("signal 9 (SIGKILL)");
      expect(await python.run("return add.delay(2, 3).get(timeout=20)")).toMatchObject({ value: 5 });
    });
  }
});
