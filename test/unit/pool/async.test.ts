import { describe, expect, test } from "vitest";
import type { Logger } from "../../../src/base/logger.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import { AsyncPool } from "../../../src/pool/async.ts";
import { JobAbort } from "../../../src/pool/lazy-abort.ts";
import type { Execute, Job, LazyAbort, Outcome } from "../../../src/protocol/job.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const JOB: Job = {
  id: "1",
  task: "t",
  args: [],
  kwargs: {},
  request: {},
  softTimeLimitMs: null,
  timeLimitMs: null,
};
const PORT = { onStart: () => {}, updateState: async () => {}, sendEvent: () => {} };
const SUCCESS: Outcome = { kind: "success", value: 1, runtimeMs: 0, children: [] };

function make(execute: Execute, logger: Logger = silentLogger): { pool: AsyncPool; clock: VirtualClock } {
  const clock = new VirtualClock();
  return { pool: new AsyncPool({ size: 2, execute, clock, logger }), clock };
}

describe("the async pool", () => {
  test("hands a synchronous outcome through as it is", () => {
    const { pool } = make(() => SUCCESS);
    expect(pool.submit(JOB, PORT).outcome).toBe(SUCCESS);
  });

  test("sets no timer without limits", async () => {
    const { pool, clock } = make(async () => SUCCESS);
    await pool.submit(JOB, PORT).outcome;
    expect(clock.timersSet).toBe(0);
  });

  test("makes no signal that nobody asks for", () => {
    let given: LazyAbort | null = null;
    const { pool } = make((_job, _port, abort) => {
      given = abort;
      return SUCCESS;
    });
    pool.submit(JOB, PORT);
    const abort = given as unknown as JobAbort;
    abort.abort("later");
    expect([abort.aborted, abort.signal.aborted, abort.signal.reason]).toEqual([true, true, "later"]);
  });

  test("keeps its slot when execute breaks its promise, by throwing or rejecting", async () => {
    const { pool } = make((job) => {
      if (job.id === "sync") throw new Error("sync");
      return Promise.reject(new Error("async"));
    });
    expect(pool.submit({ ...JOB, id: "sync" }, PORT).outcome).toMatchObject({
      kind: "failure",
      error: { args: ["sync"] },
    });
    expect(await pool.submit(JOB, PORT).outcome).toMatchObject({
      kind: "failure",
      error: { args: ["async"] },
    });
    expect(pool.busy).toBe(0);
  });

  test("says that a late outcome is dropped, and does not count its slot twice", async () => {
    const lines: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, message: string) => void lines.push(message) };
    let end: (outcome: Outcome) => void = () => {};
    const { pool, clock } = make(() => new Promise((resolve) => (end = resolve)), logger);
    const running = pool.submit({ ...JOB, timeLimitMs: 10 }, PORT);
    clock.advance(10);
    expect(await running.outcome).toEqual({ kind: "timed-out", limitMs: 10 });
    expect(pool.busy).toBe(0);
    end(SUCCESS);
    await new Promise(setImmediate);
    expect(lines).toEqual(["a task that had passed its time limit ended late: its outcome is dropped"]);
    expect(pool.busy).toBe(0);
  });
});

describe("a lazy abort", () => {
  test("aborts the signal that was taken, once, with the first reason", () => {
    const abort = new JobAbort();
    const { signal } = abort;
    expect(abort.aborted).toBe(false);
    abort.abort("first");
    abort.abort("second");
    expect(signal.reason).toBe("first");
    expect(abort.signal).toBe(signal);
  });
});
