/** The application: what a user holds. Python: `celery/app/base.py`. All of its work is done in `core.ts`. */
import type { AnySignature, Signature } from "../canvas/canvas-types.ts";
import { CanvasSignature, signatureFromData, TaskSignature } from "../canvas/signature.ts";
import type { RemoteError } from "../errors.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { Schedule } from "../schedules/schedule.ts";
import type { TaskRequest } from "../task/context-types.ts";
import type { TaskRegistry } from "../task/registry-types.ts";
import type { SendOptions } from "../task/send-types.ts";
import type { Returned, Seconds } from "../task/sendable-types.ts";
import { addHost, chooseHost, removeHost } from "../task/shared.ts";
import { RemoteHandle } from "../task/task.ts";
import type {
  AnyRemote,
  AnyTask,
  Declared,
  ParamsIn,
  RemoteTask,
  ResultIn,
  Task,
  TaskFactory,
  TaskName,
} from "../task/task-types.ts";
import type { Control } from "./control-types.ts";
import { AppCore } from "./core.ts";
import type { AppEvents } from "./events.ts";
import { appBrand, setInternals } from "./internals.ts";
import type { PeriodicOptions } from "./periodic.ts";
import type { AsyncResult, GroupResult, ResultSet } from "./result-types.ts";
import type { Schedules } from "./schedule-types.ts";
import type { CeleryOptions, Conf } from "./settings-types.ts";
import type { Middleware, Signal, Signals } from "./signal-types.ts";
import type { Steps } from "./steps.ts";

/** Options of `sendTask` and `signature`: `kwargs` is for ported code, elsewhere it is `kw(…)`. */
export type NamedSendOptions = SendOptions & {
  /** Keyword arguments. */
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
};

/** An application: its settings, its tasks, its connections. Close it when done: `await app.close()`, or `await using`. */
export class Celery {
  /** Celery's `main`: names the app in logs. */
  readonly name: string;
  /** Registers a function as a task of this app. */
  readonly task: TaskFactory;
  readonly #core: AppCore;

  static {
    Object.defineProperty(this.prototype, appBrand, { value: true });
  }

  constructor(name: string, options: CeleryOptions = {}) {
    this.name = name;
    this.#core = new AppCore(this, options);
    const core = this.#core;
    this.task = ((task: unknown, optionsOrFn: unknown, fn?: unknown) =>
      core.define(task, optionsOrFn, { fn, errbackStyle: "id" })) as unknown as TaskFactory;
    setInternals(this, core);
    addHost(core);
  }

  /**
   * Settings by camelCase name; `null` where a setting has no value. Assignable until the app is in use, `update` also
   * takes Celery's names.
   */
  get conf(): Conf {
    return this.#core.config.conf;
  }

  /** Every task of this app by name, built-in and shared ones too. */
  get tasks(): ReadonlyMap<string, AnyTask> {
    return this.#core.tasks as ReadonlyMap<string, AnyTask>;
  }

  /** Celery's signals: `app.signals.taskPrerun.connect(({ task }) => …)`. */
  get signals(): Signals {
    return this.#core.emitters;
  }

  /** Parts of your own for workers: `app.steps.worker.add({ name: "metrics", start() { … } })`. */
  get steps(): Steps {
    return this.#core.steps;
  }

  /** Looks into workers and steers them: `await app.control.ping()`. Python's too. */
  get control(): Control {
    return this.#core.control;
  }

  /** Events of workers, tasks and clients: `app.events.receiver`, `app.events.state`. */
  get events(): AppEvents {
    return this.#core.events;
  }

  /** Entries of the schedule: looked at and changed while schedulers run. */
  get schedules(): Schedules {
    return this.#core.schedules;
  }

  /** Just before the settings become final. */
  get onConfigure(): Signal<object> {
    return this.#core.onConfigure;
  }

  /** The settings are final. */
  get onAfterConfigure(): Signal<object> {
    return this.#core.onAfterConfigure;
  }

  /** Tasks and settings are final. */
  get onAfterFinalize(): Signal<object> {
    return this.#core.onAfterFinalize;
  }

  /** A task that lives elsewhere: one declared in {@link TaskRegistry}. */
  remote<N extends keyof TaskRegistry>(
    name: N,
  ): RemoteTask<ParamsIn<TaskRegistry[N]>, ResultIn<TaskRegistry[N]>>;
  /** A task that lives elsewhere, by its type only: `app.remote<(x: number) => string>("proj.task")`. */
  remote<T extends AnyRemote>(name: string): RemoteTask<ParamsIn<T>, ResultIn<T>>;
  remote(name: string): unknown {
    return new RemoteHandle(name, this.#core.calls);
  }

  /** Sends by name. Checked for names in {@link TaskRegistry}. */
  sendTask<N extends TaskName>(
    name: N,
    args?: ParamsIn<Declared<N>>,
    options?: NamedSendOptions,
  ): Promise<AsyncResult<ResultIn<Declared<N>>>> {
    return this.#core.calls.sendNamed(name, args ?? [], options ?? {}) as never;
  }

  /**
   * Has `petiole beat` send a signature again and again. Returns the entry's name. For schedulers that start later.
   *
   * @throws ImproperlyConfigured when the schedule cannot be read
   */
  addPeriodicTask(
    schedule: Schedule | Seconds,
    signature: Signature<[], unknown>,
    options: PeriodicOptions = {},
  ): string {
    return this.#core.periodic.add(schedule, signature as AnySignature, options);
  }

  /** A signature by name. Checked for names in {@link TaskRegistry}. */
  signature<N extends TaskName>(
    name: N,
    args?: ParamsIn<Declared<N>>,
    options?: NamedSendOptions,
  ): Signature<[], ResultIn<Declared<N>>> {
    return this.#core.calls.signNamed(name, args ?? [], options ?? {}) as never;
  }

  /** From Celery's JSON form. */
  signatureFrom(data: SignatureData): AnySignature {
    return signatureFromData(this.#core.calls, data) as AnySignature;
  }

  /** Sends signatures in one round trip. Handles come in their order; a bad one is named by its index before anything is sent. */
  sendMany(signatures: readonly Signature<[], unknown>[]): Promise<readonly AsyncResult<unknown>[]> {
    return this.#core.calls.sendSignatures(
      signatures.map((one) =>
        one instanceof TaskSignature || one instanceof CanvasSignature
          ? one
          : signatureFromData(this.#core.calls, one.toJSON()),
      ),
    );
  }

  /**
   * Registers an errback that is told of the failed task's request, its error and its traceback.
   *
   * @typeParam F - the function, whose parameters may be fewer
   */
  errback<F extends (request: TaskRequest, error: RemoteError, traceback: string) => unknown>(
    name: string,
    fn: F,
  ): Task<[request: TaskRequest, error: RemoteError, traceback: string], Returned<ReturnType<F>>> {
    return this.#core.define(name, {}, { fn, errbackStyle: "request" }) as never;
  }

  /** The handle of an earlier call. */
  asyncResult<T = unknown>(id: string): AsyncResult<T> {
    return this.#core.results.handle(id) as AsyncResult<T>;
  }

  /** Handles of several calls, to wait for them together. Python: `app.ResultSet`. */
  resultSet<T = unknown>(results: Iterable<AsyncResult<T>> = []): ResultSet<T> {
    return this.#core.results.set(results) as ResultSet<T>;
  }

  /** A group that was kept with `GroupResult.save`, by any of the languages; `null`: there is none of this id. */
  restoreGroup<T extends readonly unknown[] = unknown[]>(id: string): Promise<GroupResult<T> | null> {
    return this.#core.results.restoreGroup(id) as Promise<GroupResult<T> | null>;
  }

  /** Settings from an object, or from a module: `"module:export"`, loaded when the app is put to use. */
  configFromObject(source: object | string, options?: { readonly namespace?: string | undefined }): void {
    this.#core.config.fromObject(source, options);
  }

  /** Settings from environment variables: `CELERY_TASK_SERIALIZER`. */
  configFromEnv(options?: { readonly namespace?: string | undefined }): void {
    this.#core.config.fromEnv(options);
  }

  /**
   * Imports every module under these folders that is called `tasks` or ends in `.tasks`. Shared tasks in them are this app's.
   * Awaited at the top level of a module, as is usual, it cannot import what imports that module: `PET_MODULE_FAILED` names it.
   */
  async autodiscoverTasks(
    folders: string | URL | readonly (string | URL)[],
    options?: { readonly related?: string | undefined },
  ): Promise<void> {
    await this.#core.discover(folders, options?.related);
  }

  /** Runs code around every publish and every run. */
  use(middleware: Middleware): this {
    this.#core.use(middleware);
    return this;
  }

  /** Makes this app the one that shared tasks go to where nothing else decides. */
  setDefault(): this {
    chooseHost(this.#core);
    return this;
  }

  /** Waits for sends in flight and closes all connections. Idempotent. */
  async close(): Promise<void> {
    removeHost(this.#core);
    await this.#core.close();
  }

  /** {@link close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
