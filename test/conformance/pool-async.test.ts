import { silentLogger } from "../../src/base/logger.ts";
import type * as Async from "../../src/pool/async.ts";
import type { Execute, Outcome } from "../../src/protocol/job.ts";
import { built } from "../support/built.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { type PoolTask, poolConformance } from "./pool.ts";

const success = (value: unknown): Outcome => ({ kind: "success", value, runtimeMs: 0, children: [] });

const execute: Execute = (job, port, abort) => {
  port.onStart(process.pid);
  switch (job.task as PoolTask) {
    case "echo":
      return success(job.args);
    case "later":
      return new Promise((resolve) => {
        setImmediate(() => resolve(success(job.args[0])));
      });
    case "wait":
      return new Promise((resolve) => {
        const { signal } = abort;
        signal.addEventListener("abort", () => resolve(success((signal.reason as Error).constructor.name)));
      });
    case "deaf":
      return new Promise((resolve) => {
        setTimeout(() => resolve(success(null)), job.args[0] as number);
      });
    case "progress":
      return port.updateState("PROGRESS", { half: true }).then(() => success(null));
    case "fail": {
      const error = { type: "ValueError", module: "builtins", args: ["x"], traceback: null };
      return { kind: "failure", error, expected: false, runtimeMs: 0, children: [] };
    }
  }
};

poolConformance("async", { synchronous: true, stops: false }, async (size) => {
  const { AsyncPool } = (await import(built("pool/async.js"))) as typeof Async;
  const clock = new VirtualClock();
  const pool = new AsyncPool({ size, execute, clock, logger: silentLogger });
  return { pool, advance: (ms) => clock.advance(ms), close: async () => {} };
});
