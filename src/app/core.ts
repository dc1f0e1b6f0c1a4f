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
import { isSqlBackend } from "../backends/sql-schemes.ts";
import { type Clock, systemClock } from "../base/clock.ts";
import { Emitter } from "../base/emitter.ts";
import { LamportClock } from "../base/lamport-clock.ts";
import type { Logger } from "../base/logger.ts";
import { stderrLogger } from "../base/stderr-logger.ts";
import type { Planned, SendParent } from "../canvas/sender.ts";
import { PetioleError } from "../errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../protocol/wire.ts";
import type { StateDb } from "../statedb/state-db.ts";
import type { TaskDefinition } from "../task/definition.ts";
import { checkTaskOptions } from "../task/options.ts";
import { type DefinedTask, TaskTable } from "../task/registry.ts";
import { claimShared, type SharedHost, sharedCount, sharedTasks, taskParts } from "../task/shared.ts";
import { TaskHandle } from "../task/task.ts";
import type { Task } from "../task/task-types.ts";
import type { QueueDeclaration, Transport } from "../transports/transport.ts";
import type { Celery } from "./app.ts";
import { BUILTIN_TASKS } from "./builtins.ts";
import { type CallHost, Calls } from "./calls.ts";
import { Config } from "./config.ts";
import { ControlClient } from "./control.ts";
import type { OwnCommand } from "./control-commands.ts";
import { AppEvents } from "./events.ts";
import type { PeriodicRun, ResolvedSettings, SignalEmitters } from "./internals.ts";
import { Observer } from "./observer.ts";
import { openAppBackend, openAppTransport } from "./openers.ts";
import { CLEANUP, type PeriodicTask, PeriodicTasks } from "./periodic.ts";
import { Producer } from "./producer.ts";
import { type HandOver, Publisher } from "./publisher.ts";
import { Queues } from "./queues.ts";
import { Results } from "./results.ts";
import { Router } from "./routes.ts";
import { SchedulesClient } from "./schedules-client.ts";
import { Planner, type SendPlan } from "./send-plan.ts";
import { AppSender } from "./sender.ts";
import { SentEvents } from "./sent-events.ts";
import type { CeleryOptions } from "./settings-types.ts";
import { SharedRevokes } from "./shared-revokes.ts";
import type { Middleware } from "./signal-types.ts";
import { createEmitters, emitSignal } from "./signals.ts";
import { Steps } from "./steps.ts";

export class AppCore implements CallHost, SharedHost {
  readonly app: Celery;
  readonly config: Config;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly lamport: LamportClock = new LamportClock();
  readonly limits: Limits = DEFAULT_LIMITS;
  readonly emitters: SignalEmitters = createEmitters();
  readonly middleware: Middleware[] = [];
  readonly sender: AppSender;
  readonly results: Results;
  readonly producer: Producer;
  readonly calls: Calls = new Calls(this);
  readonly revokes: SharedRevokes;
  readonly control: ControlClient = new ControlClient(this);
  readonly events: AppEvents = new AppEvents(this);
  readonly schedules: SchedulesClient = new SchedulesClient(this);
  readonly periodic: PeriodicTasks;
  readonly onConfigure: Emitter<object> = new Emitter();
  readonly onAfterConfigure: Emitter<object> = new Emitter();
  readonly onAfterFinalize: Emitter<object> = new Emitter();
  readonly steps: Steps = new Steps();
  readonly #tasks = new TaskTable();
  readonly #publisher: Publisher;
  readonly #observer: Observer;
  /** null: not in use yet. Written by `#configure`. */
  planner: Planner | null = null;
  /** Written by `#configure`. */
  alwaysEager = false;
  #queues: Queues | null = null;
  #preparing: Promise<void> | null = null;
  #finalizing: Promise<void> | null = null;
  #closing: Promise<void> | null = null;

  constructor(app: Celery, options: CeleryOptions, parts: { readonly clock?: Clock } = {}) {
    const { logger, ...settings } = options;
    this.app = app;
    this.config = new Config(settings);
    this.logger = logger ?? stderrLogger;
    this.clock = parts.clock ?? systemClock;
    this.periodic = new PeriodicTasks(this.logger);
    this.#observer = new Observer(this.emitters, this.logger);
    this.#publisher = new Publisher({ clock: this.clock, open: () => this.openTransport("producer") });
    this.results = new Results({
      clock: this.clock,
      logger: this.logger,
      open: (signal) => this.#startBackend(signal),
      cacheMax: () => this.conf.resultCacheMax ?? 0,
      revoke: async (id, { wait, ...how }) => {
        const waits = wait === undefined ? {} : { reply: true, timeout: wait };
        await this.control.revoke(id, { ...how, ...waits });
      },
    });
    this.revokes = new SharedRevokes({
      clock: this.clock,
      openStateDb: () => this.openStateDb(),
      backend: () => this.results.backend(),
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
      results: this.results,
      prepare: () => this.prepare(),
      plan: (task) => this.plan(task, false),
    });
    for (const task of BUILTIN_TASKS) {
      const handle = new TaskHandle(task.name, this.calls) as unknown as Task<never, unknown>;
      this.#tasks.add({ ...task, errbackStyle: "id", handle });
    }
  }

  publishThrough(handOver: HandOver, planned: Planned, parent: SendParent | null): Promise<void> {
    return this.sender.publishThrough(handOver, planned, parent);
  }

  get conf(): ResolvedSettings {
    return this.config.resolve();
  }

  get registry(): ReadonlyMap<string, TaskDefinition> {
    return this.#tasks.definitions;
  }

  get periodicTasks(): readonly PeriodicTask[] {
    const { beatSchedule, resultBackend, resultExpires } = this.conf;
    const cleans = resultBackend !== null && isSqlBackend(resultBackend) && (resultExpires ?? 0) > 0;
    return this.periodic.all(cleans ? { ...CLEANUP, ...beatSchedule } : beatSchedule);
  }

  async cleanup(): Promise<number> {
    if (this.conf.resultBackend === null) return 0;
    return (await this.results.backend()).cleanup();
  }

  sendPeriodic(task: PeriodicTask, run: PeriodicRun): Promise<unknown> {
    return this.calls.sendPeriodic(task, run);
  }

  get controlCommands(): ReadonlyMap<string, OwnCommand> {
    return this.control.commands;
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
    const handle = new TaskHandle(parts.name, this.calls) as unknown as Task<never, unknown>;
    this.#add({ ...parts, errbackStyle: rest.errbackStyle, handle });
    return handle;
  }

  adopt(task: DefinedTask): void {
    if (this.#tasks.defined(task.name) !== task) this.#add(task);
  }

  bindShared(): void {
    if (this.planner === null) return;
    for (const task of sharedTasks()) this.adopt(task);
  }

  #add(task: DefinedTask): void {
    const { options, name } = task;
    checkTaskOptions(`task ${JSON.stringify(name)}`, options);
    const { softTimeLimit, timeLimit } = options;
    if (softTimeLimit !== undefined && timeLimit !== undefined && softTimeLimit > timeLimit) {
      this.logger.warn(
        { task: name, softTimeLimit, timeLimit },
        "softTimeLimit is above timeLimit: the task is killed before it is told",
      );
    }
    this.#tasks.add(task);
    this.planner?.forget(name);
  }

  // ---- going into use ----

  /** Puts the app to use. null: it is in use. */
  prepare(): Promise<void> | null {
    if (this.planner !== null) return null;
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
    await this.readConfig();
    this.#configure();
    await this.#emit(this.onAfterConfigure);
    await this.#emit(this.onAfterFinalize);
  }

  async readConfig(): Promise<void> {
    if (this.config.pending) await this.config.load(loadObject);
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
    this.#tasks.resolve(conf);
    const queues = new Queues(conf);
    const planner = new Planner({ conf, tasks: this.#tasks, router: new Router(conf.taskRoutes), queues });
    const sentEvents =
      conf.taskSendSentEvent === true
        ? new SentEvents({
            conf,
            clock: this.clock,
            lamport: this.lamport,
            logger: this.logger,
            transport: () => this.#publisher.ready(null),
            loadCodec,
          })
        : null;
    this.producer.configure({ conf, planner, sentEvents });
    this.alwaysEager = conf.taskAlwaysEager === true;
    this.#queues = queues;
    this.planner = planner;
    this.bindShared();
  }

  takesKeywords(task: string): boolean {
    return this.#tasks.defined(task)?.options.input !== undefined;
  }

  plan(task: string, bare: boolean): SendPlan {
    if (this.planner === null) throw closed();
    return this.planner.plan(task, bare);
  }

  finalize(): Promise<void> {
    this.#finalizing ??= this.#finalize();
    return this.#finalizing;
  }

  async #finalize(): Promise<void> {
    await this.prepare();
    const { imports, include } = this.conf;
    const modules = [...(imports ?? []), ...(include ?? [])];
    await emitSignal("importModules", {}, { emitters: this.emitters, logger: this.logger });
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
      const { discoverTasks } = await import("./loader-discovery.ts");
      const { clock, logger } = this;
      await discoverTasks(folders, { base: process.cwd(), related, clock, logger });
    });
  }

  consumedQueues(select: readonly string[], exclude: readonly string[]): readonly QueueDeclaration[] {
    if (this.#queues === null) throw closed();
    return this.#queues.consumed(select, exclude);
  }

  // ---- connections ----

  openTransport(role: "producer" | "worker", logger: Logger = this.logger): Promise<Transport> {
    return openAppTransport({ conf: this.conf, clock: this.clock, limits: this.limits, logger }, role);
  }

  openBackend(logger: Logger = this.logger): Promise<ResultBackend> {
    return openAppBackend({ conf: this.conf, clock: this.clock, limits: this.limits, logger });
  }

  /** Of a client: what workers share. null: none is configured. */
  async openStateDb(): Promise<StateDb | null> {
    const { stateDbConfig, openSharedStateDb } = await import("./state-db.ts");
    const { app, conf, clock, logger } = this;
    const config = stateDbConfig({ app, conf });
    return openSharedStateDb({ config, clock, logger, clientName: conf.redisClientName });
  }

  loadCodec(name: string): Promise<void> {
    return loadCodec(name);
  }

  async #startBackend(signal: AbortSignal): Promise<ResultBackend> {
    await this.prepare();
    const { resultSerializer } = this.conf;
    if (resultSerializer !== null && resultSerializer !== "json") await loadCodec(resultSerializer);
    const backend = await this.openBackend();
    try {
      await backend.start(signal);
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
    this.#closing ??= Promise.allSettled([
      this.#publisher.close(),
      this.results.close(),
      this.control.close(),
      this.schedules.close(),
      this.revokes.close(),
    ]).then((ends) => {
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
