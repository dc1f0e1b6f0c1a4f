/**
 * What surrounds one running function: {@link TaskExecution}, and the {@link TaskContext} that a bound task is given.
 * Most tasks look at nothing of it, so everything is made when it is asked for.
 */
import type { Celery } from "../app/app.ts";
import type { SignalEmitters } from "../app/internals.ts";
import type { Middleware } from "../app/signal-types.ts";
import type { Clock } from "../base/clock.ts";
import { derivedIds } from "../base/derived-id.ts";
import type { Logger } from "../base/logger.ts";
import type { AnySignature, Signature } from "../canvas/canvas-types.ts";
import { countedOnce } from "../canvas/freeze.ts";
import type { SendParent } from "../canvas/sender.ts";
import { hostOf } from "../canvas/signature.ts";
import { TaskRevokedError } from "../errors.ts";
import { encodeOwnEvent } from "../protocol/events.ts";
import type { Job, JobPort, LazyAbort, Outcome } from "../protocol/job.ts";
import type { RetryOptions, TaskContext, TaskRequest } from "./context-types.ts";
import type { Execution } from "./current.ts";
import type { TaskDefinition } from "./definition.ts";
import { replacement } from "./replace.ts";
import { retryError } from "./retry.ts";
import { storedLog } from "./stored-log.ts";

/** What a run needs of its app: a part of `AppInternals`. */
export interface ExecuteEnv {
  readonly app: Celery;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly middleware: readonly Middleware[];
  readonly emitters: SignalEmitters;
  readonly registry: ReadonlyMap<string, TaskDefinition>;
}

/** An outcome with the value or error it was made of: hooks and signals get those. */
export interface Ended {
  readonly outcome: Outcome;
  /** Result or error, as the function gave it. */
  readonly value: unknown;
}

const NO_CHILDREN: readonly unknown[] = Object.freeze([]);

/** One run of one task. */
export class TaskExecution implements Execution {
  readonly env: ExecuteEnv;
  readonly definition: TaskDefinition;
  readonly job: Job;
  /** Set before the run by `on`; a run without a place reports to nobody. */
  port: JobPort = NO_PORT;
  abort: LazyAbort | null = null;
  /** Monotonic, ms. Written when the function is about to run. */
  startedMs = 0;
  /** Bound arguments. Written once, before the function runs. */
  args: readonly unknown[] = NO_CHILDREN;
  /** Somebody holds the task's signal, and may act on it. Written by the context. */
  signalTaken = false;
  /** What made it fail, as it was thrown: eager mode throws it again. Written when the run failed. */
  thrown: unknown = null;
  #context: TaskContext | null = null;
  #children: unknown[] | null = null;
  #pending: Set<Promise<unknown>> | null = null;
  #parent: SendParent | null = null;

  constructor(env: ExecuteEnv, definition: TaskDefinition, job: Job) {
    this.env = env;
    this.definition = definition;
    this.job = job;
  }

  on(port: JobPort, abort: LazyAbort): this {
    this.port = port;
    this.abort = abort;
    return this;
  }

  get context(): TaskContext {
    this.#context ??= new RunningTask(this);
    return this.#context;
  }

  get parent(): SendParent {
    if (this.#parent === null) {
      const request = this.job.request as unknown as TaskRequest;
      this.#parent = { id: request.id, rootId: request.rootId, priority: request.deliveryInfo.priority };
    }
    return this.#parent;
  }

  get children(): unknown[] {
    this.#children ??= [];
    return this.#children;
  }

  get pending(): Set<Promise<unknown>> {
    this.#pending ??= new Set();
    return this.#pending;
  }

  /** Result tuples so far; allocates nothing when there are none. */
  get sent(): readonly unknown[] {
    return this.#children ?? NO_CHILDREN;
  }

  /** Something was not waited for, or failed. */
  get hasPending(): boolean {
    return this.#pending !== null && this.#pending.size > 0;
  }

  get runtimeMs(): number {
    return this.env.clock.monotonic() - this.startedMs;
  }

  /** Module of the user's own error classes: the task's name without its last part. */
  get module(): string {
    const { name } = this.definition;
    const dot = name.lastIndexOf(".");
    return dot <= 0 ? name : name.slice(0, dot);
  }
}

const NO_PORT: JobPort = {
  onStart: () => {},
  updateState: () => Promise.resolve(),
  sendEvent: () => {},
};

class RunningTask implements TaskContext {
  readonly #execution: TaskExecution;
  #log: Logger | null = null;
  /** Calls of `addToChord`. */
  #added = 0;

  constructor(execution: TaskExecution) {
    this.#execution = execution;
  }

  get name(): string {
    return this.#execution.definition.name;
  }

  get app(): Celery {
    return this.#execution.env.app;
  }

  get request(): TaskRequest {
    return this.#execution.job.request as unknown as TaskRequest;
  }

  get signal(): AbortSignal {
    this.#execution.signalTaken = true;
    return this.#execution.abort?.signal ?? NEVER;
  }

  get log(): Logger {
    this.#log ??= this.#makeLog();
    return this.#log;
  }

  #makeLog(): Logger {
    const { env, job, port, definition } = this.#execution;
    const logger = env.logger.child({ task_name: this.name, task_id: job.id });
    if (!definition.options.storeLogs || port.keepLog === undefined) return logger;
    return storedLog(logger, { now: () => env.clock.now(), keep: (line) => port.keepLog?.(line) });
  }

  isRevoked(): boolean {
    const { abort, port } = this.#execution;
    const byTerminate = abort?.aborted === true && abort.signal.reason instanceof TaskRevokedError;
    return byTerminate || port.isRevoked?.() === true;
  }

  updateState(state: string, meta?: unknown): Promise<void> {
    const { pending, port } = this.#execution;
    const stored = port.updateState(state, meta ?? null).finally(() => pending.delete(stored));
    pending.add(stored);
    return stored;
  }

  /** Throws at once where the event is wrong, so that it is not overlooked where nobody waits. */
  sendEvent(type: string, fields: Readonly<Record<string, unknown>> = {}): Promise<void> {
    this.#execution.port.sendEvent(type, encodeOwnEvent(type, fields));
    return Promise.resolve();
  }

  retry(options: RetryOptions = {}): never {
    throw retryError({ definition: this.#execution.definition, request: this.request, options });
  }

  replace<R>(signature: Signature<[], R>): R {
    throw replacement(this.name, this.request, signature as AnySignature);
  }

  addToChord(signature: Signature<[], unknown>): Promise<void> {
    const { pending } = this.#execution;
    const sent = this.#addToChord(signature as AnySignature);
    pending.add(sent);
    sent.then(
      () => pending.delete(sent),
      () => {},
    );
    return sent;
  }

  async #addToChord(signature: AnySignature): Promise<void> {
    const { chord, groupId, groupIndex, rootId } = this.request;
    const host = hostOf(signature);
    if (chord === null || groupId === null)
      throw new TypeError(`${this.name} is not in the header of a chord: nothing can be added to it`);
    if (host === null)
      throw new TypeError(
        `what ${this.name} adds to its chord must be a signature of an app of this process`,
      );
    this.#added += 1;
    // The same in each delivery of this attempt: what is delivered again adds nothing more.
    const newId = derivedIds(this.request.id, `added:${this.request.retries}:${this.#added}`);
    const data = countedOnce(signature.toJSON());
    const options = { ...data.options, chord, group_id: groupId, root_id: rootId, group_index: groupIndex };
    await host.addToChord({ ...data, options }, groupId, newId);
  }
}

/** Of a task that was called directly: nothing aborts it. */
const NEVER = new AbortController().signal;

/** Fields of a request that nobody gave, by `TaskRequest`'s names: for eager and direct calls. */
export function requestData(given: Readonly<Partial<TaskRequest>>): Readonly<Record<string, unknown>> {
  const id = given.id ?? "";
  return {
    id,
    task: "",
    args: NO_CHILDREN,
    kwargs: {},
    retries: 0,
    rootId: id,
    parentId: null,
    groupId: null,
    groupIndex: null,
    chord: null,
    eta: null,
    expires: null,
    timeLimit: null,
    softTimeLimit: null,
    ignoreResult: false,
    properties: {},
    correlationId: id,
    replyTo: null,
    origin: null,
    lang: "js",
    shadow: null,
    deliveryInfo: { exchange: "", routingKey: "", priority: 0, redelivered: false },
    headers: {},
    stamps: {},
    stampedHeaders: NO_CHILDREN,
    replacedTaskNesting: 0,
    hostname: "",
    calledDirectly: false,
    isEager: false,
    ...given,
  };
}
