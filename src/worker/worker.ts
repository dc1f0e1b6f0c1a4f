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
 * A cold stop may follow a warm one that takes too long.
 */
import type { Celery } from "../app/app.ts";
import { type AppInternals, internalsOf } from "../app/internals.ts";
import { Blueprint } from "../base/blueprint.ts";
import type { Timer } from "../base/clock.ts";
import type { Emitter } from "../base/emitter.ts";
import { Service, type ServiceState } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured } from "../errors.ts";
import type { WorkerContext } from "./context.ts";
import type { NodeSignals } from "./gossip.ts";
import { isChild } from "./in-child.ts";
import { resolveOptions, type WorkerOptions, type WorkerSettings } from "./options.ts";
import { Revoked } from "./revoked.ts";
import { WORKER_STEPS } from "./steps/index.ts";

/** How {@link Worker.stop} treats running tasks. */
export interface StopOptions {
  /** Default: warm; soft when `timeout` or the setting `workerSoftShutdownTimeout` says how long. */
  readonly how?: "warm" | "soft" | "cold" | undefined;
  /** Seconds that running tasks have, before they are given up. */
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

  /** Connects and begins to take messages. Rejects when the broker or the backend refuses. */
  start(): Promise<void> {
    return this.#service.start();
  }

  /** Idempotent; a second call with `how: "cold"` ends the waiting of the first. */
  stop(options: StopOptions = {}): Promise<void> {
    return this.#service.end(options);
  }
}

class WorkerService extends Service {
  readonly #app: AppInternals;
  readonly #options: WorkerOptions;
  readonly #logger: Logger;
  readonly #cold = new AbortController();
  #settings: WorkerSettings | null = null;
  #blueprint: Blueprint<WorkerContext> | null = null;
  context: WorkerContext | null = null;

  constructor(app: AppInternals, options: WorkerOptions) {
    super();
    this.#app = app;
    this.#options = options;
    this.#logger = options.logger ?? app.logger;
  }

  get settings(): WorkerSettings {
    if (this.#settings === null) throw new TypeError("the worker has not been started");
    return this.#settings;
  }

  protected async onStart(signal: AbortSignal): Promise<void> {
    if (isChild()) throw startedInChild();
    await this.#app.finalize();
    const settings = resolveOptions(this.#app, this.#options);
    this.#settings = settings;
    const { emitters } = this.#app;
    const { hostname } = settings;
    await this.#emit(emitters.celerydInit, { hostname, options: { ...this.#options } });
    const context: WorkerContext = {
      app: this.#app,
      settings,
      logger: this.#logger,
      cold: this.#cold,
      hurry: new AbortController(),
      revoked: new Revoked({ clock: this.#app.clock }),
      startedMs: this.#app.clock.monotonic(),
      requestStop: () => {
        this.end({}).catch((err: unknown) => this.#logger.error({ err }, "the worker failed to stop"));
      },
      mingle: null,
      transport: null,
      backend: null,
      events: null,
      gossip: null,
      pool: null,
      loopWatch: null,
      tasks: null,
      autoscaler: null,
    };
    this.context = context;
    this.#blueprint = new Blueprint({ name: "worker", steps: WORKER_STEPS, context, logger: this.#logger });
    await this.#emit(emitters.celerydAfterSetup, { hostname });
    await this.#emit(emitters.workerInit, { hostname });
    await this.#blueprint.start(context, signal);
    this.#logger.info({ hostname }, "worker ready");
    await this.#emit(emitters.workerReady, { hostname });
  }

  /** Tells how the stop is meant, and begins it. */
  async end(options: StopOptions): Promise<void> {
    const timeout = options.timeout ?? this.#softTimeout(options.how);
    const how = options.how ?? (timeout === null ? "warm" : "soft");
    if (this.state === "idle" || this.state === "starting" || this.state === "running") {
      this.#logger.info({ how, hostname: this.#settings?.hostname ?? null }, "worker is shutting down");
      const { workerShuttingDown } = this.#app.emitters;
      await this.#emit(workerShuttingDown, { signal: options.signal ?? null, how });
    }
    let timer: Timer | null = null;
    if (how === "cold") this.#cold.abort();
    else if (timeout !== null) timer = this.#app.clock.setTimer(timeout * 1000, () => this.#cold.abort());
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
    this.#logger.info({ hostname }, "worker stopped");
    await this.#emit(this.#app.emitters.workerShutdown, { hostname });
  }

  /** `worker_soft_shutdown_timeout`; 0 is none. */
  #softTimeout(how: StopOptions["how"]): number | null {
    const seconds = this.#app.conf.workerSoftShutdownTimeout ?? 0;
    return how !== "warm" && how !== "cold" && seconds > 0 ? seconds : null;
  }

  async #emit<E>(emitter: Emitter<E>, event: E): Promise<void> {
    if (!emitter.active) return;
    await emitter.emit(event, {
      onError: (err) => this.#logger.error({ err }, "a signal handler failed"),
    });
  }
}

function startedInChild(): ImproperlyConfigured {
  return new ImproperlyConfigured(
    "a module that the children of a worker's pool import starts a worker itself: keep the app and its tasks in a module of their own, and name that one as appModule",
  );
}
