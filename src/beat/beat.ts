/** The scheduler as users start it. Python: `celery.apps.beat.Beat`. */
import type { Celery } from "../app/app.ts";
import { internalsOf } from "../app/internals.ts";
import { refuseBlindOverlap } from "../app/overlap.ts";
import { scheduleOptions } from "../app/schedule-store.ts";
import type { ServiceState } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import { openScheduleStore } from "../schedules/stores/open.ts";
import type { ScheduleStore } from "../schedules/stores/store.ts";
import { BeatService } from "./service.ts";

export interface BeatOptions {
  /** Instead of the setting `beatScheduler`. */
  readonly scheduler?: string | undefined;
  /** File of what has run. Instead of the setting `beatScheduleFilename`. */
  readonly schedule?: string | undefined;
  /** Seconds: longest sleep between two looks. Instead of the setting `beatMaxLoopInterval`. */
  readonly maxInterval?: number | undefined;
  /** In a worker: `beatEmbeddedInit` is told too. */
  readonly embedded?: boolean | undefined;
  /** Instead of the app's. */
  readonly logger?: Logger | undefined;
}

/** Celery's. Seconds. */
const MAX_INTERVAL = 300;

/** An entry, as it stands. */
export interface BeatEntryState {
  readonly name: string;
  readonly task: string;
  readonly lastRunAt: Date;
  readonly totalRunCount: number;
}

/** Sends periodic tasks from this process: `await new Beat(app).start()`. It installs no signal handlers. */
export class Beat {
  readonly app: Celery;
  readonly #options: BeatOptions;
  #service: BeatService | null = null;
  #store: ScheduleStore | null = null;
  /** Instead of the app's. To be set before the start. */
  logger: Logger;

  constructor(app: Celery, options: BeatOptions = {}) {
    this.app = app;
    this.#options = options;
    this.logger = options.logger ?? internalsOf(app).logger;
  }

  get state(): ServiceState {
    return this.#service?.state ?? "idle";
  }

  /** Whether it is the one that sends; others on its schedule stand by. */
  get leading(): boolean {
    return this.#service?.leading ?? false;
  }

  /** Where it keeps what has run. The app must be prepared. */
  get location(): string {
    return this.#schedule().location;
  }

  /** Every entry, and what it has done. Known once it leads. */
  get entries(): readonly BeatEntryState[] {
    return [...(this.#service?.scheduler.entries.values() ?? [])].map((entry) => ({
      name: entry.task.name,
      task: entry.task.task,
      lastRunAt: new Date(entry.lastRunAtMs),
      totalRunCount: entry.totalRunCount,
    }));
  }

  /** Loads the app's modules, and makes settings and tasks final. Idempotent. */
  prepare(): Promise<void> {
    return internalsOf(this.app).finalize();
  }

  /** Rejects when the schedule cannot be read; stands by where another scheduler has it. */
  async start(): Promise<void> {
    await this.prepare();
    const app = internalsOf(this.app);
    for (const task of app.periodicTasks) refuseBlindOverlap(task, app);
    this.#service ??= this.#makeService();
    await this.#service.start();
  }

  /** Saves and lets go. Idempotent. */
  async stop(): Promise<void> {
    await this.#service?.stop();
  }

  #makeService(): BeatService {
    const app = internalsOf(this.app);
    const seconds = this.#options.maxInterval || app.conf.beatMaxLoopInterval || MAX_INTERVAL;
    return new BeatService({
      app,
      store: this.#schedule(),
      logger: this.logger,
      maxIntervalMs: seconds * 1000,
      embedded: this.#options.embedded === true,
    });
  }

  #schedule(): ScheduleStore {
    const { conf, clock } = internalsOf(this.app);
    const context = { app: this.app, conf, clock, logger: this.logger };
    this.#store ??= openScheduleStore(scheduleOptions(context, this.#options));
    return this.#store;
  }
}
