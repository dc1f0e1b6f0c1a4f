/**
 * The inside of an app: everything that {@link Celery} shows, and what a worker needs.
 *
 * | state    | settings  | tasks                        | first send                                  |
 * |----------|-----------|------------------------------|---------------------------------------------|
 * | open     | may change| may be added                 | -> in use                                   |
 * | in use   | final     | may be added; options final  |                                             |
 * | closed   | final     |                              | rejects with `PET_CLOSED`                   |
 *
 * Going into use is synchronous unless a settings module has to be loaded or a lifecycle hook is connected.
 */
import type { ResultBackend } from "../backends/backend.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { Emitter } from "../base/emitter.ts";
import type { Logger } from "../base/logger.ts";
import { stderrLogger } from "../base/stderr-logger.ts";
import type { Sender } from "../canvas/sender.ts";
import { type Call, makeSignature, type SignatureHost, type TaskSignature } from "../canvas/signature.ts";
import type { CallOptions } from "../canvas/wire-options.ts";
import { PetioleError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../protocol/wire.ts";
import type { TaskDefinition } from "../task/definition.ts";
import { type CallArguments, splitArguments, withKwargs } from "../task/kw.ts";
import { checkTaskOptions } from "../task/options.ts";
import { type DefinedTask, TaskTable } from "../task/registry.ts";
import type { SendOptions } from "../task/send-types.ts";
import { claimShared, type SharedHost, sharedCount, sharedTasks, taskParts } from "../task/shared.ts";
import { TaskHandle } from "../task/task.ts";
import type { Task } from "../task/task-types.ts";
import type { QueueDeclaration, Transport } from "../transports/transport.ts";
import type { Celery } from "./app.ts";
import { BUILTIN_TASKS } from "./builtins.ts";
import { Config } from "./config.ts";
import { Eager } from "./eager.ts";
import type { AppInternals, ResolvedSettings, SignalEmitters } from "./internals.ts";
import { Observer } from "./observer.ts";
import { openAppBackend, openAppTransport } from "./openers.ts";
import { atIndex, Producer } from "./producer.ts";
import { Publisher } from "./publisher.ts";
import { Queues } from "./queues.ts";
import type { AsyncResult } from "./result-types.ts";
import { Results } from "./results.ts";
import { Router } from "./routes.ts";
import { Planner, type SendPlan } from "./send-plan.ts";
import { AppSender } from "./sender.ts";
import type { CeleryOptions } from "./settings-types.ts";
import type { Middleware } from "./signal-types.ts";
import { createEmitters } from "./signals.ts";
import { validateInput } from "./validate.ts";

/** Options of `sendTask` and `signature`. */
export type NamedOptions = SendOptions & { readonly kwargs?: Readonly<Record<string, unknown>> | undefined };

const NO_OPTIONS: CallOptions = Object.freeze({});

export class AppCore implements AppInternals, SharedHost, SignatureHost {
  readonly app: Celery;
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly limits: Limits = DEFAULT_LIMITS;
  readonly emitters: SignalEmitters = createEmitters();
  readonly middleware: Middleware[] = [];
  readonly sender: Sender;
  readonly results: Results;
  readonly producer: Producer;
  readonly onConfigure: Emitter<object> = new Emitter();
  readonly onAfterConfigure: Emitter<object> = new Emitter();
  readonly onAfterFinalize: Emitter<object> = new Emitter();
  readonly #tasks = new TaskTable();
  readonly #publisher: Publisher;
  readonly #observer: Observer;
  readonly #eager: Eager;
  /** null: not in use yet. Written by `#configure`. */
  #planner: Planner | null = null;
  #queues: Queues | null = null;
  #alwaysEager = false;
  #preparing: Promise<void> | null = null;
  #finalizing: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(app: Celery, options: CeleryOptions, parts: { readonly clock?: Clock } = {}) {
    const { logger, ...settings } = options;
    this.app = app;
    this.config = new Config(settings);
    this.logger = logger ?? stderrLogger;
    this.clock = parts.clock ?? systemClock;
    this.#observer = new Observer(this.emitters, this.logger);
    this.#publisher = new Publisher({ clock: this.clock, open: () => this.openTransport("producer") });
    this.results = new Results({
      clock: this.clock,
      logger: this.logger,
      open: () => this.#startBackend(),
      cacheMax: () => this.conf.resultCacheMax ?? 0,
    });
    this.producer = new Producer({
      clock: this.clock,
      publisher: this.#publisher,
      results: this.results,
      observer: this.#observer,
      loadCodec,
    });
    this.sender = new AppSender({
      producer: this.producer,
      prepare: () => this.prepare(),
      plan: (task) => this.#plan(task, false),
    });
    this.#eager = new Eager(this);
    for (const task of BUILTIN_TASKS) {
      const handle = new TaskHandle(task.name, this) as unknown as Task<never, unknown>;
      this.#tasks.add({ ...task, errbackStyle: "id", handle });
    }
  }

  get conf(): ResolvedSettings {
    return this.config.resolve();
  }

  get registry(): ReadonlyMap<string, TaskDefinition> {
    return this.#tasks.definitions;
  }

  /** What users hold, shared tasks too. */
  get tasks(): ReadonlyMap<string, Task<never, unknown>> {
    for (const task of sharedTasks()) this.adopt(task);
    return this.#tasks.handles;
  }

  // ---- tasks ----

  define(
    name: unknown,
    optionsOrFn: unknown,
    rest: { fn?: unknown; errbackStyle: "id" | "request" },
  ): Task<never, unknown> {
    const parts = taskParts(name, optionsOrFn, rest.fn);
    const handle = new TaskHandle(parts.name, this) as unknown as Task<never, unknown>;
    this.#add({ ...parts, errbackStyle: rest.errbackStyle, handle });
    return handle;
  }

  adopt(task: DefinedTask): void {
    if (this.#tasks.defined(task.name) !== task) this.#add(task);
  }

  bindShared(): void {
    if (this.#planner === null) return;
    for (const task of sharedTasks()) this.adopt(task);
  }

  #add(task: DefinedTask): void {
    const { options, name } = task;
    checkTaskOptions(`task ${JSON.stringify(name)}`, options as Readonly<Record<string, unknown>>);
    const { softTimeLimit, timeLimit } = options;
    if (softTimeLimit !== undefined && timeLimit !== undefined && softTimeLimit > timeLimit) {
      this.logger.warn(
        { task: name, softTimeLimit, timeLimit },
        "softTimeLimit is above timeLimit: the task is killed before it is told",
      );
    }
    this.#tasks.add(task);
    this.#planner?.forget(name);
  }

  // ---- going into use ----

  /** Puts the app to use. null: it is in use. */
  prepare(): Promise<void> | null {
    if (this.#planner !== null) return null;
    if (this.#preparing !== null) return this.#preparing;
    const hooks = this.onConfigure.active || this.onAfterConfigure.active || this.onAfterFinalize.active;
    if (!hooks && !this.config.pending) {
      this.#configure();
      return null;
    }
    const preparing = this.#prepareSlowly();
    this.#preparing = preparing;
    const over = (): void => {
      this.#preparing = null;
    };
    preparing.then(over, over);
    return preparing;
  }

  async #prepareSlowly(): Promise<void> {
    await this.#emit(this.onConfigure);
    if (this.config.pending) await this.config.load(loadObject);
    this.#configure();
    await this.#emit(this.onAfterConfigure);
    await this.#emit(this.onAfterFinalize);
  }

  async #emit(emitter: Emitter<object>): Promise<void> {
    await emitter.emit(
      {},
      { onError: (error) => this.logger.error({ err: error }, "a hook of the app failed") },
    );
  }

  #configure(): void {
    const conf = this.config.freeze();
    for (const { message, fields } of this.config.takeWarnings()) this.logger.warn(fields, message);
    this.#tasks.resolve(conf as Parameters<TaskTable["resolve"]>[0]);
    const queues = new Queues(conf);
    const planner = new Planner({ conf, tasks: this.#tasks, router: new Router(conf.taskRoutes), queues });
    this.producer.configure({ conf, planner });
    this.#alwaysEager = conf.taskAlwaysEager === true;
    this.#queues = queues;
    this.#planner = planner;
    this.bindShared();
  }

  #plan(task: string, bare: boolean): SendPlan {
    if (this.#planner === null) throw closed();
    return this.#planner.plan(task, bare);
  }

  finalize(): Promise<void> {
    this.#finalizing ??= this.#finalize();
    return this.#finalizing;
  }

  async #finalize(): Promise<void> {
    await this.prepare();
    const { imports, include } = this.conf;
    const modules = [...(imports ?? []), ...(include ?? [])];
    if (modules.length > 0) {
      await this.owning(() => loadModules(modules));
    }
    this.bindShared();
  }

  /** Shared tasks of modules that `load` loads belong to this app. */
  async owning(load: () => Promise<unknown>): Promise<void> {
    const before = sharedCount();
    try {
      await load();
    } finally {
      claimShared(this, before);
    }
    this.bindShared();
  }

  /** `autodiscoverTasks`. */
  discover(folders: string | URL | readonly (string | URL)[], related: string | undefined): Promise<void> {
    return this.owning(async () => {
      const loader = await import("./loader.ts");
      const files = await loader.findTaskModules(folders, { base: process.cwd(), related });
      for (const file of files) await loader.loadModule(file, process.cwd());
    });
  }

  consumedQueues(select: readonly string[], exclude: readonly string[]): readonly QueueDeclaration[] {
    if (this.#queues === null) throw closed();
    return this.#queues.consumed(select, exclude);
  }

  // ---- sending ----

  send(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    // The way of every `delay`: no promise of its own.
    if (this.#planner === null || options?.validate === true) return this.#sendSlowly(task, given, options);
    try {
      const plan = this.#planner.plan(task, false);
      const call = splitArguments(task, given, plan.input !== null);
      if (this.#alwaysEager && plan.registered) return this.#eager.apply(task, call, options);
      return this.producer.send(plan, call, options);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  async #sendSlowly(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    await this.prepare();
    const plan = this.#plan(task, false);
    const call = splitArguments(task, given, plan.input !== null);
    if (options?.validate === true) await validateInput(plan, call);
    if (this.#alwaysEager && plan.registered) return this.#eager.apply(task, call, options);
    return this.producer.send(plan, call, options);
  }

  async sendMany(
    task: string,
    calls: readonly (readonly unknown[])[],
  ): Promise<readonly AsyncResult<unknown>[]> {
    await this.prepare();
    const plan = this.#plan(task, false);
    const split = calls.map((given, index) => {
      try {
        return splitArguments(task, given, plan.input !== null);
      } catch (error) {
        return atIndex(error, index);
      }
    });
    if (this.#alwaysEager && plan.registered)
      return this.#eager.applyMany(split.map((call) => ({ task, call })));
    return this.producer.produceMany(
      split.map(({ args, kwargs }) => ({ plan, args, kwargs, options: NO_OPTIONS, extra: null })),
    );
  }

  /** By name alone, as Celery's `send_task`: options of a task that is registered here do not count. */
  async sendNamed(
    task: string,
    given: readonly unknown[],
    options: NamedOptions,
  ): Promise<AsyncResult<unknown>> {
    await this.prepare();
    const { kwargs, ...rest } = options;
    const call = withKwargs(task, splitArguments(task, given, false), kwargs);
    return this.producer.send(this.#plan(task, true), call, rest);
  }

  /** Signatures in one round trip. */
  async sendSignatures(signatures: readonly TaskSignature[]): Promise<readonly AsyncResult<unknown>[]> {
    await this.prepare();
    const calls = signatures.map((signature) => signature.merge([]));
    if (this.#alwaysEager) {
      return this.#eager.applyMany(
        calls.map((call) => ({ task: call.task, call, options: call.options as SendOptions })),
      );
    }
    return this.producer.produceMany(calls.map((call) => ({ ...call, plan: this.#plan(call.task, false) })));
  }

  async sendCall(call: Call): Promise<AsyncResult<unknown>> {
    await this.prepare();
    const plan = this.#plan(call.task, false);
    if (this.#alwaysEager && plan.registered) {
      return this.#eager.apply(call.task, call, call.options as SendOptions);
    }
    return this.producer.sendCall({
      plan,
      args: call.args,
      kwargs: call.kwargs,
      options: call.options,
      extra: call.extra,
    });
  }

  // ---- signatures ----

  split(task: string, given: readonly unknown[]): CallArguments {
    return splitArguments(task, given, this.#tasks.defined(task)?.options.input !== undefined);
  }

  sign(task: string, given: readonly unknown[], immutable: boolean): TaskSignature {
    return makeSignature(this, { task, ...this.split(task, given) }, { immutable });
  }

  signNamed(task: string, given: readonly unknown[], options: NamedOptions): TaskSignature {
    const { kwargs, ...rest } = options;
    const call = withKwargs(task, this.split(task, given), kwargs);
    return makeSignature(
      this,
      { task, args: call.args, kwargs: call.kwargs },
      { immutable: false, options: rest },
    );
  }

  // ---- here and now ----

  async run(task: string, given: readonly unknown[]): Promise<unknown> {
    await this.prepare();
    return this.#eager.run(task, this.split(task, given));
  }

  async apply(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    await this.prepare();
    return this.#eager.apply(task, this.split(task, given), options);
  }

  // ---- results ----

  result(task: string, id: string): AsyncResult<unknown> {
    return this.results.handle(id, this.#planner !== null && this.#plan(task, false).ignoreResult);
  }

  // ---- connections ----

  openTransport(role: "producer" | "worker"): Promise<Transport> {
    return openAppTransport(this, role);
  }

  openBackend(): Promise<ResultBackend> {
    return openAppBackend(this);
  }

  async #startBackend(): Promise<ResultBackend> {
    await this.prepare();
    const backend = await this.openBackend();
    try {
      await backend.start(new AbortController().signal);
    } catch (error) {
      await backend.stop().catch(() => {});
      throw error;
    }
    return backend;
  }

  use(middleware: Middleware): void {
    this.middleware.push(middleware);
    this.#observer.use(middleware);
  }

  close(): Promise<void> {
    this.#closing ??= Promise.allSettled([this.#publisher.close(), this.results.close()]).then((ends) => {
      const failed = ends.find((end) => end.status === "rejected");
      if (failed) throw failed.reason;
    });
    return this.#closing;
  }
}

function closed(): PetioleError {
  return new PetioleError("PET_CLOSED", "the app is not in use");
}

async function loadCodec(name: string): Promise<void> {
  const codecs = await import("../codecs/index.ts");
  await codecs.loadCodec(name);
}

async function loadObject(spec: string): Promise<object> {
  const loader = await import("./loader.ts");
  return loader.loadObject(spec, process.cwd());
}

async function loadModules(names: readonly string[]): Promise<void> {
  const loader = await import("./loader.ts");
  for (const name of names) await loader.loadModule(name, process.cwd());
}
