/** What every pool must do. Each implementation runs it: `poolConformance("async", …)`. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Pool, RunningJob } from "../../src/pool/pool.ts";
import type { Job, JobPort, Outcome } from "../../src/protocol/job.ts";

/** A pool with functions that the suite knows by the names of {@link PoolTask}. */
export interface PoolUnderTest {
  readonly pool: Pool;
  /** Moves the pool's clock. */
  advance(ms: number): void;
  close(): Promise<void>;
}

/**
 * - `echo`: gives its arguments back, synchronously
 * - `later`: gives its first argument back, after a turn of the event loop
 * - `wait`: ends when its signal is aborted, with the name of the reason's class
 * - `deaf`: never looks at its signal, and ends after its first argument in real milliseconds
 * - `fail`: throws
 * - `progress`: stores a state and returns
 */
export type PoolTask = "echo" | "later" | "wait" | "deaf" | "fail" | "progress";

export interface PoolFacts {
  /** A job that ends at once has a plain outcome, no promise. */
  readonly synchronous: boolean;
  /** `terminate` stops a running function. */
  readonly stops: boolean;
}

class NotingPort implements JobPort {
  readonly pids: number[] = [];
  readonly states: unknown[] = [];
  onStart(pid: number): void {
    this.pids.push(pid);
  }
  sendEvent(): void {}
  async updateState(state: string, meta: unknown): Promise<void> {
    this.states.push([state, meta]);
  }
}

let count = 0;
function job(task: PoolTask, args: readonly unknown[] = [], limits: Partial<Job> = {}): Job {
  count += 1;
  const id = `job-${count}`;
  return { id, task, args, kwargs: {}, request: { id }, softTimeLimitMs: null, timeLimitMs: null, ...limits };
}

/** The value of a success, else how it ended. */
function endOf(outcome: Outcome): unknown {
  return outcome.kind === "success" ? outcome.value : outcome.kind;
}

/** Time for what is under way to be noticed. */
async function turns(n = 3): Promise<void> {
  for (let i = 0; i < n; i += 1) await new Promise(setImmediate);
}

export function poolConformance(
  name: string,
  facts: PoolFacts,
  open: (size: number) => Promise<PoolUnderTest>,
): void {
  describe(`pool ${name}`, () => {
    let under: PoolUnderTest;
    let pool: Pool;
    let port: NotingPort;

    beforeEach(async () => {
      under = await open(4);
      pool = under.pool;
      port = new NotingPort();
      await pool.start(new AbortController().signal);
    });
    afterEach(async () => {
      await pool.stop({ graceMs: 0, reason: new Error("test over") });
      await under.close();
    });

    const submit = (task: PoolTask, args?: readonly unknown[], limits?: Partial<Job>): RunningJob =>
      pool.submit(job(task, args, limits), port);

    test("has the size it was made with, and nothing to do", () => {
      expect([pool.size, pool.busy]).toEqual([4, 0]);
      expect(pool.name).not.toBe("");
    });

    test("runs a job to its outcome and tells its start", async () => {
      const { outcome } = submit("echo", [1, "a"]);
      expect(outcome instanceof Promise).toBe(!facts.synchronous);
      expect(await outcome).toMatchObject({ kind: "success", value: [1, "a"], children: [] });
      expect(port.pids).toEqual([expect.any(Number)]);
      expect(pool.busy).toBe(0);
    });

    test("runs jobs at once, each in a slot of its own", async () => {
      const running = [1, 2, 3, 4].map((n) => submit("later", [n]));
      expect(pool.busy).toBe(4);
      const outcomes = await Promise.all(running.map(async (one) => one.outcome));
      expect(outcomes.map((one) => (one as { value: unknown }).value)).toEqual([1, 2, 3, 4]);
      expect(pool.busy).toBe(0);
    });

    test("gives a failure as an outcome and its slot back", async () => {
      expect(await submit("fail").outcome).toMatchObject({ kind: "failure", error: { type: "ValueError" } });
      expect(pool.busy).toBe(0);
    });

    test("passes states on", async () => {
      await submit("progress").outcome;
      expect(port.states).toEqual([["PROGRESS", { half: true }]]);
    });

    test("grows and shrinks; what runs goes on", async () => {
      await pool.resize(6);
      expect(pool.size).toBe(6);
      const running = submit("later", [1]);
      await pool.resize(1);
      expect(pool.size).toBe(1);
      expect(await running.outcome).toMatchObject({ kind: "success" });
    });

    test("terminate aborts the job's signal, and says whether it can do more", async () => {
      const running = submit("wait");
      await turns();
      expect(running.terminate("SIGTERM", new RangeError("enough"))).toBe(facts.stops);
      const outcome = await running.outcome;
      expect(endOf(outcome)).toBe(facts.stops ? "terminated" : "RangeError");
      expect(pool.busy).toBe(0);
    });

    test("tells a job of its soft limit", async () => {
      const running = submit("wait", [], { softTimeLimitMs: 50 });
      await turns();
      under.advance(49);
      await turns();
      expect(pool.busy).toBe(1);
      under.advance(1);
      expect(await running.outcome).toMatchObject({ kind: "success", value: "SoftTimeLimitExceeded" });
    });

    test("ends a job at its hard limit and frees its slot, whatever the function does", async () => {
      const running = submit("deaf", [150], { timeLimitMs: 50 });
      await turns();
      under.advance(50);
      expect(await running.outcome).toEqual({ kind: "timed-out", limitMs: 50 });
      expect(pool.busy).toBe(0);
    });

    test("forgets the limits of a job that has ended", async () => {
      const outcome: Outcome = await submit("later", [7], { softTimeLimitMs: 50, timeLimitMs: 60 }).outcome;
      under.advance(1000);
      expect(outcome).toMatchObject({ kind: "success", value: 7 });
      expect(pool.busy).toBe(0);
    });

    test("stop waits for what runs", async () => {
      const running = submit("later", ["x"]);
      await pool.stop({ graceMs: 60_000 });
      expect(pool.busy).toBe(0);
      expect(await running.outcome).toMatchObject({ kind: "success", value: "x" });
    });

    test("stop aborts what runs after the grace, with the reason", async () => {
      const running = submit("wait");
      await turns();
      const stopped = pool.stop({ graceMs: 100, reason: new SyntaxError("closing") });
      await turns();
      expect(pool.busy).toBe(1);
      under.advance(100);
      await stopped;
      const outcome = await running.outcome;
      expect(endOf(outcome)).toBe(facts.stops ? "terminated" : "SyntaxError");
    });

    test("stop is safe before anything ran, and twice", async () => {
      await pool.stop({ graceMs: 10 });
      await pool.stop({ graceMs: 10 });
      expect(pool.busy).toBe(0);
    });
  });
}
