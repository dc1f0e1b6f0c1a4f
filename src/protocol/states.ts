/** Celery's task states and the sets it groups them in. Python: `celery.states`. */

/** The states that Celery knows, and its sets of them. */
export const states: {
  /** Not stored: nothing is known of the task. */
  readonly PENDING: "PENDING";
  readonly RECEIVED: "RECEIVED";
  readonly STARTED: "STARTED";
  readonly SUCCESS: "SUCCESS";
  readonly FAILURE: "FAILURE";
  readonly REVOKED: "REVOKED";
  readonly RETRY: "RETRY";
  readonly IGNORED: "IGNORED";
  readonly REJECTED: "REJECTED";
  /** The task is done. */
  readonly READY_STATES: ReadonlySet<string>;
  readonly UNREADY_STATES: ReadonlySet<string>;
  /** The result is an exception. */
  readonly EXCEPTION_STATES: ReadonlySet<string>;
  /** `get()` throws the exception. */
  readonly PROPAGATE_STATES: ReadonlySet<string>;
} = {
  PENDING: "PENDING",
  RECEIVED: "RECEIVED",
  STARTED: "STARTED",
  SUCCESS: "SUCCESS",
  FAILURE: "FAILURE",
  REVOKED: "REVOKED",
  RETRY: "RETRY",
  IGNORED: "IGNORED",
  REJECTED: "REJECTED",
  READY_STATES: new Set(["SUCCESS", "FAILURE", "REVOKED"]),
  UNREADY_STATES: new Set(["PENDING", "RECEIVED", "STARTED", "REJECTED", "RETRY"]),
  EXCEPTION_STATES: new Set(["RETRY", "FAILURE", "REVOKED"]),
  PROPAGATE_STATES: new Set(["FAILURE", "REVOKED"]),
};

/** Whether a task in this state is done: SUCCESS, FAILURE or REVOKED. */
export function isReady(state: string): state is "SUCCESS" | "FAILURE" | "REVOKED" {
  return state === "SUCCESS" || state === "FAILURE" || state === "REVOKED";
}

/** Whether the result of this state is an exception: RETRY, FAILURE or REVOKED. */
export function isException(state: string): state is "RETRY" | "FAILURE" | "REVOKED" {
  return state === "FAILURE" || state === "RETRY" || state === "REVOKED";
}

/** Whether `get()` throws for this state: FAILURE or REVOKED. */
export function isPropagated(state: string): state is "FAILURE" | "REVOKED" {
  return state === "FAILURE" || state === "REVOKED";
}
