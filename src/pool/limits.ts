/** The errors of time limits, as Python's pool raises them. */
import { SoftTimeLimitExceeded, TimeLimitExceeded } from "../errors.ts";

export function softLimit(): SoftTimeLimitExceeded {
  return new SoftTimeLimitExceeded({
    type: "SoftTimeLimitExceeded",
    module: "billiard.exceptions",
    args: [],
    traceback: null,
  });
}

export function hardLimit(limitMs: number): TimeLimitExceeded {
  return new TimeLimitExceeded({
    type: "TimeLimitExceeded",
    module: "billiard.exceptions",
    args: [limitMs / 1000],
    traceback: null,
  });
}
