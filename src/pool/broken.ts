/** The outcome of a job that could not be run as promised. */
import { exceptionInfo } from "../protocol/exceptions.ts";
import type { Outcome } from "../protocol/job.ts";

/** `Execute` promises never to throw: if it does, the job must not hang nor its slot be lost. */
export function broken(error: unknown): Outcome {
  return {
    kind: "failure",
    error: exceptionInfo(error, "builtins"),
    expected: false,
    runtimeMs: 0,
    children: [],
  };
}
