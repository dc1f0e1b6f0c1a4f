/** What every pool must do. Each implementation runs it: `poolConformance("async", …)`. */
import { Decimal, PlainDate, PlainTime, Uuid } from "petiole/protocol";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { softLimit } from "../../src/pool/limits.ts";
import type { Pool, RunningJob } from "../../src/pool/pool.ts";
import type { Job, JobPort, Outcome } from "../../src/protocol/job.ts";
import { eventually } from "../support/eventually.ts";

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
 * - `spin`: holds up its event loop for ever
 * - `exit`: ends its process, or thread, with its first argument as exit code
 * - `function`: gives something back that cannot travel
 * - `request`: gives its request back
 */
export type PoolTask =
  | "echo"
  | "later"
  | "wait"
  | "deaf"
  | "fail"
  | "progress"
  | "spin"
  | "exit"
  | "function"
  | "request";

export interface PoolFacts {
  /** A job that ends at once has a plain outcome, no promise. */
  readonly synchronous: boolean;
  /** `terminate` stops a running function. */
  readonly stops: boolean;
  /** What runs the jobs, where it is not this event loop. */
  readonly children: "processes" | "threads" | null;
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

    /** A child that went is replaced in its own time. */
    const whole = (): Promise<boolean> => eventually("every slot is free", () => pool.free === pool.size);

    const submit = (task: PoolTask, args?: readonly unknown[], limits?: Partial<Job>): RunningJob =>
      pool.submit(job(task, args, limits), port);

    test("has the size it was made with, and nothing to do", async () => {
      expect(pool.free).toBeGreaterThan(0);
      await whole();
      expect([pool.size, pool.busy, pool.free]).toEqual([4, 0, 4]);
      expect(pool.name).not.toBe("");
    });

    test("tells of itself what `inspect stats` shows", async () => {
      await whole();
      const info = pool.info();
      expect(info).toMatchObject({
        "max-concurrency": 4,
        "max-tasks-per-child": "N/A",
        timeouts: [0, 0],
        implementation: expect.stringContaining(pool.name),
      });
      expect(info.processes).toHaveLength(facts.children === "processes" ? 4 : 1);
      expect(info.processes.includes(process.pid)).toBe(facts.children !== "processes");
    });

    test("a running job says which process runs it, and takes a slot", async () => {
      await whole();
      const running = submit("wait");
      expect(pool.info().processes).toContain(running.pid);
      expect(pool.free).toBe(3);
      running.abort(new Error("enough"));
      await running.outcome;
      expect(port.pids).toEqual([expect.any(Number)]);
    });

    test("a new slot is told of", async () => {
      await whole();
      await pool.resize(5);
      let told = 0;
      pool.onFree = () => {
        told += 1;
      };
      await pool.resize(6);
      await eventually("the slot is told of", () => told > 0 && pool.free === 6);
      expect(pool.size).toBe(6);
    });

    test("runs a job to its outcome and tells its start", async () => {
      const { outcome } = submit("echo", [1, "a"]);
      expect(outcome instanceof Promise).toBe(!facts.synchronous);
      expect(await outcome).toMatchObject({ kind: "success", value: [1, "a"], children: [] });
      expect(port.pids).toEqual([expect.any(Number)]);
      expect(pool.busy).toBe(0);
    });

    test("runs jobs at once, each in a slot of its own", async () => {
      await whole();
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

    test("abort asks a job to end, with the reason's kind", async () => {
      const running = submit("wait");
      await turns();
      running.abort(new TypeError("now"));
      const end = endOf(await running.outcome);
      expect(end).toBe(facts.children === null ? "TypeError" : "RemoteError");
    });

    test("SIGUSR1 is Celery's soft limit, everywhere", async () => {
      const running = submit("wait");
      await turns();
      expect(running.terminate("SIGUSR1", softLimit())).toBe(false);
      expect(endOf(await running.outcome)).toBe("SoftTimeLimitExceeded");
    });

    test("values arrive as what they were, both ways", async () => {
      const values = [
        new Date(1_700_000_000_123),
        2n ** 70n,
        new Uuid("12345678-1234-5678-1234-567812345678"),
        new Decimal("1.50"),
        new PlainDate("2024-01-02"),
        new PlainTime("03:04:05"),
        { nested: [null, true, -0.5, "tab\t\u2028\ud83d\ude00", Number.NaN] },
      ];
      const bytes = new Uint8Array([0, 255, 128]);
      const outcome = (await submit("echo", [...values, bytes]).outcome) as { value: unknown[] };
      expect(outcome.value.slice(0, -1)).toEqual(values);
      expect([...(outcome.value.at(-1) as Uint8Array)]).toEqual([0, 255, 128]);
    });

    test("a job's request arrives with it", async () => {
      const request = { id: "r1", rootId: "r0", eta: new Date(5000), args: [1], kwargs: { a: 2 } };
      const outcome = await submit("request", [1], { kwargs: { a: 2 }, request }).outcome;
      expect(outcome).toMatchObject({ kind: "success", value: request });
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

    test("restart gives every slot back", async () => {
      await whole();
      const before = pool.info().processes;
      const running = submit("later", [1]);
      await pool.restart();
      expect(await running.outcome).toMatchObject({ kind: "success" });
      await eventually("the new children are up", () => {
        const now = pool.info().processes;
        return (
          pool.free === 4 && (facts.children !== "processes" || !now.some((pid) => before.includes(pid)))
        );
      });
      expect(pool.busy).toBe(0);
    });

    if (facts.children !== null) childConformance();

    /** Of pools whose jobs cannot hurt each other. */
    function childConformance(): void {
      test("what cannot travel is the job's failure", async () => {
        expect(await submit("function").outcome).toMatchObject({
          kind: "failure",
          error: { type: "EncodeError", module: "kombu.exceptions" },
        });
        expect(await submit("echo", [() => {}]).outcome).toMatchObject({
          kind: "failure",
          error: { type: "EncodeError" },
        });
        expect(await submit("echo", [1]).outcome).toMatchObject({ kind: "success" });
      });

      test("a child that ends takes its job with it, nothing else, and its slot comes back", async () => {
        await whole();
        const other = submit("wait");
        expect(await submit("exit", [7]).outcome).toEqual({ kind: "lost", exitCode: 7, signal: null });
        await eventually("its slot is back", () => pool.free === 3);
        expect(pool.busy).toBe(1);
        other.abort(new Error("enough"));
        expect(await other.outcome).toMatchObject({ kind: "success" });
      });

      test("an endless loop is stopped at the hard limit", async () => {
        const running = submit("spin", [], { timeLimitMs: 80 });
        await eventually("it runs", () => port.pids.length === 1);
        under.advance(80);
        expect(await running.outcome).toEqual({ kind: "timed-out", limitMs: 80 });
        await whole();
      });

      test("an endless loop is stopped by terminate", async () => {
        const running = submit("spin");
        await eventually("it runs", () => port.pids.length === 1);
        expect(running.terminate("SIGTERM", new Error("enough"))).toBe(true);
        expect(await running.outcome).toEqual({ kind: "terminated", signal: "SIGTERM" });
        await whole();
      });

      test("an endless loop is stopped with the pool", async () => {
        const running = submit("spin");
        await eventually("it runs", () => port.pids.length === 1);
        await pool.stop({ graceMs: 0, reason: new Error("closing") });
        expect(await running.outcome).toMatchObject({ kind: "terminated" });
        expect(pool.info().processes).toEqual([]);
      });

      test("a child whose event loop hangs between two jobs does not keep the next one", async () => {
        await pool.resize(1);
        await eventually("one is left", () => pool.free === 1);
        expect(await submit("echo", ["then spin"]).outcome).toMatchObject({ kind: "success" });
        const running = submit("later", ["on another child"]);
        await turns();
        under.advance(11_000);
        expect(await running.outcome).toMatchObject({ kind: "success", value: "on another child" });
      });
    }

    test("stop is safe before anything ran, and twice", async () => {
      await pool.stop({ graceMs: 10 });
      await pool.stop({ graceMs: 10 });
      expect(pool.busy).toBe(0);
    });
  });
}
