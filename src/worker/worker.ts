/**
 * A worker: runs the tasks of an app. Python: `celery/worker/worker.py`.
 *
 * It installs no handlers of process signals: whoever owns the process does (`signals.ts`, for the command line).
 *
 * | stop   | new messages | running tasks                                    | reserved messages |
 * |--------|--------------|--------------------------------------------------|-------------------|
 * | warm   | none         | are waited for                                   | put back          |
 * | soft   | none         | are waited for, at most `timeout` seconds; then cold | put back      |
 * | cold   | none         | signal aborted; late-acked ones are put back, others are lost and say so | put back |
 *
 * A harder stop may follow one that takes too long.
 */
import { hostname as osHostname } from "node:os";
import type { Celery } from "../app/app.ts";
import { type AppInternals, internalsOf } from "../app/internals.ts";
import type { SignalEvents } from "../app/signal-types.ts";
import { emitSignal } from "../app/signals.ts";
import { Blueprint } from "../base/blueprint.ts";
import type { Timer } from "../base/clock.ts";
import { Service, type ServiceState } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { expandNodeName } from "../protocol/nodenames.ts";
import type { WorkerContext } from "./context.ts";
import type { NodeSignals } from "./gossip.ts";
import { isChild } from "./in-child.ts";
import { resolveOptions, type WorkerOptions, type WorkerSettings } from "./options.ts";
import { Revoked } from "./revoked.ts";
import { stepsOf } from "./steps/index.ts";

/** How a worker ends. */
export type StopKind = "warm" | "soft" | "cold";

/** How {@link Worker.stop} treats running tasks. */
export interface StopOptions {
  /** Default: warm; soft where a `timeout` is given. Soft without any time is cold. */
  readonly how?: StopKind | undefined;
  /** Seconds that running tasks have in a soft stop. Default: `workerSoftShutdownTimeout`. */
  readonly timeout?: number | undefined;
  /** The process signal that is the reason, for `workerShuttingDown`. */
  readonly signal?: NodeJS.Signals | undefined;
}

/**
 * A worker in this process: `await new Worker(app, { concurrency: 10 }).start()`. It installs no signal handlers. Python:
 * `celery.apps.worker.Worker`.
 */
export class Worker {
  readonly app: Celery;
  readonly #service: WorkerService;

  constructor(app: Celery, options: WorkerOptions = {}) {
    this.app = app;
    this.#service = new WorkerService(internalsOf(app), options);
  }

  get state(): ServiceState {
    return this.#service.state;
  }

  /** What was decided of the options. Known once `start` has begun to connect. */
  get settings(): WorkerSettings {
    return this.#service.settings;
  }

  /** Node name: `celery@host`. */
  get hostname(): string {
    return this.settings.hostname;
  }

  /** How it was told to stop; null: it was not. */
  get stopping(): StopKind | null {
    return this.#service.how;
  }

  /** Instead of the app's. To be set before the start. */
  set logger(logger: Logger) {
    this.#service.logger = logger;
  }

  /** Tasks that run now. */
  get active(): number {
    return this.#service.context?.tasks?.consumer.active.size ?? 0;
  }

  /** Told of other workers that come and go; null without gossip, and before the start. */
  get nodes(): NodeSignals | null {
    return this.#service.context?.gossip?.on ?? null;
  }

  /** Executions that ended, by task. */
  get totals(): Readonly<Record<string, number>> {
    return this.#service.context?.tasks?.strategies.totals() ?? {};
  }

  /** Tells `celerydInit`, then makes settings and tasks final: what the start begins with. Idempotent. */
  prepare(): Promise<void> {
    return this.#service.prepare();
  }

  /** Connects and begins to take messages. Rejects when the broker or the backend refuses. */
  start(): Promise<void> {
    return this.#service.start();
  }

  /** Idempotent; a second call that asks for a harder stop ends the waiting of the first. */
  stop(options: StopOptions = {}): Promise<void> {
    return this.#service.end(options);
  }
}

const HARDNESS: Readonly<Record<StopKind | "no", number>> = { no: 0, warm: 1, soft: 2, cold: 3 };

class WorkerService extends Service {
  readonly #app: AppInternals;
  readonly #options: WorkerOptions;
  readonly #cold = new AbortController();
  /** Set from outside before the start. */
  logger: Logger;
  /** The hardest stop that was asked for. Written by `end`. */
  how: StopKind | null = null;
  #preparing: Promise<void> | null = null;
  #settings: WorkerSettings | null = null;
  #blueprint: Blueprint<WorkerContext> | null = null;
  context: WorkerContext | null = null;

  constructor(app: AppInternals, options: WorkerOptions) {
    super();
    this.#app = app;
    this.#options = options;
    this.logger = options.logger ?? app.logger;
  }

  get settings(): WorkerSettings {
    if (this.#settings === null) throw new TypeError("the worker has not been started");
    return this.#settings;
  }

  protected async onStart(signal: AbortSignal): Promise<void> {
    if (isChild()) throw startedInChild();
    await this.prepare();
    const settings = resolveOptions(this.#app, this.#options);
    this.#settings = settings;
    const { hostname } = settings;
    const context: WorkerContext = {
      app: this.#app,
      settings,
      logger: this.logger,
      stopping: this.stopSignal,
      cold: this.#cold,
      hurry: new AbortController(),
      revoked: new Revoked({ clock: this.#app.clock }),
      startedMs: this.#app.clock.monotonic(),
      requestStop: () => {
        this.end({}).catch((err: unknown) => this.logger.error({ err }, "the worker failed to stop"));
      },
      mingle: null,
      transport: null,
      backend: null,
      events: null,
      gossip: null,
      pool: null,
      loopWatch: null,
      tasks: null,
      broadcasts: null,
      autoscaler: null,
      lingers: false,
      userSteps: null,
      state: null,
    };
    this.context = context;
    this.#blueprint = new Blueprint({
      name: "worker",
      steps: stepsOf(this.#app),
      context,
      logger: this.logger,
    });
    await this.#tell("celerydAfterSetup", { hostname });
    await this.#tell("workerInit", { hostname });
    await this.#blueprint.start(context, signal);
    this.logger.info({ hostname }, "worker ready");
    await this.#tell("workerReady", { hostname });
  }

  prepare(): Promise<void> {
    this.#preparing ??= this.#prepare();
    return this.#preparing;
  }

  async #prepare(): Promise<void> {
    const hostname = expandNodeName(this.#options.hostname, osHostname());
    const { conf } = this.#app.app;
    await this.#tell("celerydInit", { hostname, conf, options: { ...this.#options } });
    await this.#app.finalize();
  }

  /** Tells how the stop is meant, and begins it. */
  async end(options: StopOptions): Promise<void> {
    const timeout = this.#softTimeout(options);
    const asked = options.how ?? (timeout === null ? "warm" : "soft");
    const how = asked === "soft" && timeout === null ? "cold" : asked;
    if (HARDNESS[how] <= HARDNESS[this.how ?? "no"] || this.state === "stopped") return this.stop();
    this.how = how;
    this.logger.info({ how, hostname: this.#settings?.hostname ?? null }, "worker is shutting down");
    const told = this.#tell("workerShuttingDown", { signal: options.signal ?? null, how });
    let timer: Timer | null = null;
    if (how === "cold") this.#cold.abort();
    else await told;
    if (how === "soft") {
      timer = this.#app.clock.setTimer((timeout ?? 0) * 1000, () => this.#cold.abort());
      if (this.context !== null)
        this.context.lingers = this.#app.conf.workerEnableSoftShutdownOnIdle === true;
    }
    try {
      await this.stop();
    } finally {
      timer?.cancel();
    }
  }

  protected async onStop(): Promise<void> {
    const { context } = this;
    if (context === null) return;
    await this.#blueprint?.stop(context, { graceMs: 0 });
    const { hostname } = context.settings;
    this.logger.info({ hostname }, "worker stopped");
    await this.#tell("workerShutdown", { hostname });
  }

  /** Seconds; null: none. */
  #softTimeout({ how, timeout }: StopOptions): number | null {
    const seconds = timeout ?? (how === "soft" ? (this.#app.conf.workerSoftShutdownTimeout ?? 0) : 0);
    return seconds > 0 ? seconds : null;
  }

  #tell<N extends keyof SignalEvents>(name: N, event: SignalEvents[N]): Promise<void> {
    const sender = this.#settings?.hostname ?? expandNodeName(this.#options.hostname, osHostname());
    return emitSignal(name, event, { emitters: this.#app.emitters, logger: this.logger, sender });
  }
}

function startedInChild(): ImproperlyConfigured {
  return new ImproperlyConfigured(
    "a module that the children of a worker's pool import starts a worker itself: keep the app and its tasks in a module of their own, and name that one as appModule",
  );
}
