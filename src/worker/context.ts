/** What the steps of a worker share. Each field is written by its step, and read by those that require it. */
import type { AppInternals } from "../app/internals.ts";
import type { ResultBackend } from "../backends/backend.ts";
import type { Logger } from "../base/logger.ts";
import type { LoopWatch } from "../pool/loop-watch.ts";
import type { Pool } from "../pool/pool.ts";
import type { Transport } from "../transports/transport.ts";
import type { Autoscaler } from "./autoscaler.ts";
import type { Broadcasts } from "./broadcasts.ts";
import type { Chords } from "./chords.ts";
import type { TaskConsumer } from "./consumer.ts";
import type { Endings } from "./endings.ts";
import type { Gossip } from "./gossip.ts";
import type { WorkerSettings } from "./options.ts";
import type { MetaMaker } from "./outcome.ts";
import type { Receiver } from "./receiver.ts";
import type { Revoked } from "./revoked.ts";
import type { Settler } from "./settler.ts";
import type { StateKeeper } from "./state-keeper.ts";
import type { Strategies } from "./strategy.ts";
import type { Tracer } from "./tracer.ts";
import type { UserSteps } from "./user-steps.ts";
import type { WorkerEvents } from "./worker-events.ts";

/** The machinery of step `tasks`. */
export interface TaskParts {
  readonly strategies: Strategies;
  readonly settler: Settler;
  readonly metas: MetaMaker;
  readonly chords: Chords;
  readonly tracer: Tracer;
  readonly endings: Endings;
  readonly receiver: Receiver;
  readonly consumer: TaskConsumer;
}

export interface WorkerContext {
  readonly app: AppInternals;
  readonly settings: WorkerSettings;
  readonly logger: Logger;
  /** Aborted when the worker is told to stop. */
  readonly stopping: AbortSignal;
  /** Aborted when running tasks are not to be waited for any longer. */
  readonly cold: AbortController;
  /** Aborted when stores and sends are not to be tried again. */
  readonly hurry: AbortController;
  readonly revoked: Revoked;
  /** Monotonic, ms. */
  readonly startedMs: number;
  /** Ends the worker, warm, as remote control asks. */
  requestStop(): void;
  /** Synchronises with the other workers, again after a gap; null: not wanted. */
  mingle: ((signal: AbortSignal) => Promise<void>) | null;
  transport: Transport | null;
  backend: ResultBackend | null;
  events: WorkerEvents | null;
  /** null where it is off. */
  gossip: Gossip | null;
  pool: Pool | null;
  /** Of pools that run tasks in this event loop. */
  loopWatch: LoopWatch | null;
  tasks: TaskParts | null;
  /** null: there is no broadcast queue. */
  broadcasts: Broadcasts | null;
  /** null: no state DB is configured. */
  state: StateKeeper | null;
  /** null: off. */
  autoscaler: Autoscaler | null;
  /** A soft stop takes its whole time even while no task runs: `worker_enable_soft_shutdown_on_idle`. */
  lingers: boolean;
  /** Steps that users added, running ones; null: none. */
  userSteps: UserSteps | null;
}

/** What a required step has made. */
export function made<T>(value: T | null, step: string): T {
  if (value === null) throw new TypeError(`step ${step} has not started`);
  return value;
}
