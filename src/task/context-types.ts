import type { Celery } from "../app/app.ts";
import type { Logger } from "../base/logger.ts";
import type { Signature, SignatureData } from "../canvas/canvas-types.ts";
import type { SendOptions } from "./send-types.ts";
import type { Instant, Seconds } from "./sendable-types.ts";

/** This execution's message, as it arrived (`task.request`). */
export interface TaskRequest {
  readonly id: string;
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Attempts before this one. */
  readonly retries: number;
  readonly rootId: string;
  readonly parentId: string | null;
  readonly groupId: string | null;
  readonly groupIndex: number | null;
  readonly eta: Date | null;
  readonly expires: Date | null;
  readonly timeLimit: Seconds | null;
  readonly softTimeLimit: Seconds | null;
  readonly ignoreResult: boolean;
  /** The body of the chord that it is in the header of. */
  readonly chord: SignatureData | null;
  /** The message's AMQP properties. */
  readonly properties: Readonly<Record<string, unknown>>;
  readonly correlationId: string;
  readonly replyTo: string | null;
  /** `gen{pid}@{host}` of the sender. */
  readonly origin: string | null;
  /** `py`, `js`, … */
  readonly lang: string;
  readonly shadow: string | null;
  readonly deliveryInfo: {
    readonly exchange: string;
    readonly routingKey: string;
    readonly priority: number;
    readonly redelivered: boolean;
  };
  /** The sender's own headers. */
  readonly headers: Readonly<Record<string, unknown>>;
  readonly stamps: Readonly<Record<string, unknown>>;
  readonly stampedHeaders: readonly string[];
  readonly replacedTaskNesting: number;
  /** The worker's node name. */
  readonly hostname: string;
  readonly calledDirectly: boolean;
  readonly isEager: boolean;
}

/** Options of {@link TaskContext.retry}. */
export interface RetryOptions {
  readonly countdown?: Seconds | undefined;
  readonly eta?: Instant | undefined;
  /** Stored as the failure when no attempt is left (`exc`). */
  readonly cause?: unknown;
  readonly maxRetries?: number | null | undefined;
  /** New arguments; by default the same ones. */
  readonly args?: readonly unknown[] | undefined;
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  readonly options?: SendOptions | undefined;
}

/** What a bound task is given: Python's `self`. */
export interface TaskContext {
  readonly name: string;
  readonly app: Celery;
  readonly request: TaskRequest;
  /** Aborted when the task is revoked with `terminate`, hits its soft limit, or the worker stops in a hurry. */
  readonly signal: AbortSignal;
  /** Names the task and its id on each line. With the option `storeLogs` the lines are kept beside the result, too. */
  readonly log: Logger;
  /** Whether this execution was revoked, with `terminate` or without. Costs no round trip. */
  isRevoked(): boolean;
  /** Stores a state of your own, seen by `AsyncResult.state()` and `info()`. Never rejects; the result is stored after it. */
  updateState(state: "PROGRESS" | (string & {}), meta?: unknown): Promise<void>;
  /**
   * Publishes a `task-…` event, for monitors: `task.sendEvent("task-progress", { done: 0.5 })`. It is handed over at once;
   * a broker that is away does not make it fail.
   */
  sendEvent(type: `task-${string}`, fields?: Readonly<Record<string, unknown>>): Promise<void>;
  /** Gives up this attempt and sends another. Never returns; write `throw task.retry(…)` so that the compiler knows. */
  retry(options?: RetryOptions): never;
  /**
   * Lets another signature finish in this task's place, with its id and all that follows it. Never returns; write
   * `return task.replace(…)`, which has the other's type.
   */
  replace<R>(signature: Signature<[], R>): R;
  /** Sends a task that the chord this one is in the header of waits for, too. */
  addToChord(signature: Signature<[], unknown>): Promise<void>;
}
