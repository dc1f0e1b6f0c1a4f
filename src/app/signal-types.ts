import type { Signal } from "../base/emitter.ts";
import type { Logger } from "../base/logger.ts";
import type { TaskContext, TaskRequest } from "../task/context-types.ts";
import type { Task } from "../task/task-types.ts";
import type { TaskState } from "./result-types.ts";
import type { Conf } from "./settings-types.ts";

export type { Signal };

interface PublishEvent {
  readonly task: string;
  readonly id: string;
  readonly exchange: string;
  readonly routingKey: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}
interface RunEvent {
  readonly task: Task<any, unknown>;
  readonly request: TaskRequest;
}
interface LogEvent {
  readonly logger: Logger;
  readonly level: string;
  readonly logfile: string | null;
}

/** What each signal carries. Python's `celery.signals`, in camelCase. */
export interface SignalEvents {
  /** `headers` and `properties` may be changed: they are what is sent. */
  beforeTaskPublish: PublishEvent & {
    readonly headers: Record<string, unknown>;
    readonly properties: Record<string, unknown>;
  };
  afterTaskPublish: PublishEvent;
  taskReceived: { readonly request: TaskRequest };
  taskPrerun: RunEvent;
  taskPostrun: RunEvent & { readonly state: TaskState; readonly result: unknown };
  taskSuccess: RunEvent & { readonly result: unknown };
  taskFailure: RunEvent & { readonly error: Error };
  taskRetry: RunEvent & { readonly reason: Error };
  taskRevoked: {
    readonly request: TaskRequest;
    readonly terminated: boolean;
    readonly signum: number | null;
    readonly expired: boolean;
  };
  taskRejected: { readonly message: unknown; readonly error: Error };
  taskUnknown: { readonly name: string; readonly id: string; readonly error: Error };
  taskInternalError: RunEvent & { readonly error: Error };
  /** Before the settings are final: `conf` may be changed, as for one node by its name. */
  celerydInit: { readonly hostname: string; readonly conf: Conf; readonly options: Record<string, unknown> };
  celerydAfterSetup: { readonly hostname: string };
  /** Before the modules of `imports` and `include` are loaded. */
  importModules: {};
  workerInit: { readonly hostname: string };
  /** In the worker, before a child of a pool is started. It is not waited for. */
  workerBeforeCreateProcess: {};
  /** Where tasks run, before the first: in each child of a pool, else in the worker itself. */
  workerProcessInit: {};
  /** Likewise, after the last. A child that is killed does not come to it; one that ends by an exception waits for no handler. */
  workerProcessShutdown: { readonly pid: number; readonly exitcode: number };
  workerReady: { readonly hostname: string };
  /** For each step from warm to soft to cold. */
  workerShuttingDown: { readonly signal: NodeJS.Signals | null; readonly how: "warm" | "soft" | "cold" };
  workerShutdown: { readonly hostname: string };
  heartbeatSent: {};
  beatInit: {};
  beatEmbeddedInit: {};
  setupLogging: { readonly level: string; readonly logfile: string | null };
  afterSetupLogger: LogEvent;
  afterSetupTaskLogger: LogEvent;
}
/** All signals: connect to one with `app.signals.taskFailure.connect(…)`. */
export type Signals = { readonly [K in keyof SignalEvents]: Signal<SignalEvents[K]> };

/** Runs around publishing and running, where a signal cannot: tracing, async context, a transaction for each task. */
export interface Middleware {
  /** Around one publish. Without `next` the message is kept back. */
  publish?(message: SignalEvents["beforeTaskPublish"], next: () => Promise<void>): Promise<void>;
  /** Around one run of a task's function; what it returns is the result. */
  run?(task: TaskContext, next: () => Promise<unknown>): Promise<unknown>;
}
