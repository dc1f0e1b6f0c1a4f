/**
 * Sends periodic tasks. Python: `celery.beat.Service`.
 *
 * | state   | the store            | timer                                         |
 * |---------|----------------------|-----------------------------------------------|
 * | standby | another has it       | asks for it again                             |
 * | leading | ours                 | sends what is due, sleeps until the next slot |
 *
 * A save that finds the store taken by another ends the leading. The wall clock may jump: no slot is sent twice, and of those that
 * were jumped over the latest one is sent.
 */
import type { AppInternals } from "../app/internals.ts";
import { emitSignal } from "../app/signals.ts";
import type { Timer } from "../base/clock.ts";
import { Service } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import { localZone } from "../base/time-zone.ts";
import { durationText } from "../schedules/schedule.ts";
import type { ScheduleStore } from "../schedules/stores/store.ts";
import { Dispatcher, LINES } from "./dispatcher.ts";
import { Scheduler } from "./scheduler.ts";

export interface BeatServiceOptions {
  readonly app: AppInternals;
  readonly store: ScheduleStore;
  readonly logger: Logger;
  /** Longest sleep between two looks. */
  readonly maxIntervalMs: number;
  /** Within a worker (`-B`). */
  readonly embedded: boolean;
}

/** Longest time until a jump of the wall clock is noticed. */
const LOOK_MS = 5000;
const STANDBY_MS = 1000;
/** A run is saved within this. A save that takes long is made less often: twenty times its length apart. */
const SAVE_MS = 1000;
const JUMP_MS = 1000;

export class BeatService extends Service {
  readonly #options: BeatServiceOptions;
  readonly #scheduler: Scheduler;
  readonly #dispatcher: Dispatcher;
  /** Where it stands; see above. */
  #leading = false;
  #timer: Timer | null = null;
  #saveTimer: Timer | null = null;
  #saving: Promise<void> | null = null;
  #saveDelayMs = SAVE_MS;
  /** Sent since the last save. */
  #unsaved = 0;
  #asking: Promise<void> | null = null;
  #told = false;
  #seen: { readonly wall: number; readonly monotonic: number };

  constructor(options: BeatServiceOptions) {
    super();
    this.#options = options;
    const { app, logger } = options;
    const { conf, clock } = app;
    const deadline = conf.beatCronStartingDeadline;
    const zone = conf.timezone ?? (conf.enableUtc === false ? localZone() : "UTC");
    this.#scheduler = new Scheduler({
      zone,
      deadlineMs: deadline === null ? null : deadline * 1000,
    });
    this.#dispatcher = new Dispatcher({ app, logger, zone, onConfirmed: () => this.#confirmed() });
    this.#seen = { wall: clock.now(), monotonic: clock.monotonic() };
  }

  /** Whether it is the one that sends. */
  get leading(): boolean {
    return this.#leading;
  }

  get scheduler(): Scheduler {
    return this.#scheduler;
  }

  protected async onStart(): Promise<void> {
    const { app, logger, embedded, maxIntervalMs } = this.#options;
    const { emitters } = app;
    logger.info({}, LINES.starting);
    logger.debug({ interval: durationText(maxIntervalMs / 1000) }, "beat: Ticking with max interval");
    await emitSignal("beatInit", {}, { emitters, logger });
    if (embedded) await emitSignal("beatEmbeddedInit", {}, { emitters, logger });
    await this.#ask();
  }

  protected async onStop(): Promise<void> {
    const { logger, store } = this.#options;
    logger.info({}, LINES.stopping);
    this.#timer?.cancel();
    this.#saveTimer?.cancel();
    await this.#asking;
    this.#timer?.cancel();
    await this.#dispatcher.stop();
    this.#saveTimer?.cancel();
    await this.#saving;
    if (!this.#leading) return;
    this.#leading = false;
    try {
      await store.save(this.#scheduler.runs());
    } finally {
      await store.release();
    }
  }

  // ---- standby

  /** Leads if nobody else does; else asks again later. Rejects only when it may never lead. */
  async #ask(): Promise<void> {
    const { app, store, logger } = this.#options;
    const holder = await store.take();
    if (holder !== null) {
      if (!this.#told)
        logger.warn({ store: store.location, holder }, "another beat leads: this one stands by");
      this.#told = true;
      this.#arm(STANDBY_MS);
      return;
    }
    const stored = await store.load();
    if (this.stopSignal.aborted) return store.release();
    this.#leading = true;
    if (this.#told) logger.warn({ store: store.location }, "this beat leads now");
    this.#told = false;
    this.#scheduler.begin(app.periodicTasks, stored, app.clock.now());
    await this.#save();
    this.#look();
  }

  #arm(delayMs: number): void {
    if (this.stopSignal.aborted) return;
    this.#timer = this.#options.app.clock.setTimer(delayMs, () => {
      if (this.#leading) this.#look();
      else this.#asking = this.#ask().catch((err: unknown) => this.#askFailed(err));
    });
  }

  #askFailed(err: unknown): void {
    this.#options.logger.error({ err }, "the schedule could not be taken: it is tried again");
    this.#arm(STANDBY_MS);
  }

  // ---- leading

  #look(): void {
    const { app, logger, maxIntervalMs } = this.#options;
    const nowMs = app.clock.now();
    this.#noticeJump(nowMs);
    for (const due of this.#scheduler.takeDue(nowMs)) {
      if (due.tooLate) {
        const { name, task } = due.entry.task;
        logger.warn({ entry: name, task }, "a run is skipped: it is past beatCronStartingDeadline");
      } else this.#dispatcher.send(due);
    }
    const nextMs = this.#scheduler.nextMs();
    const waitMs = nextMs === null ? maxIntervalMs : Math.min(maxIntervalMs, nextMs - app.clock.now());
    this.#arm(Math.min(LOOK_MS, Math.max(0, waitMs)));
  }

  #noticeJump(wall: number): void {
    const { app, logger } = this.#options;
    const monotonic = app.clock.monotonic();
    const jumpMs = wall - this.#seen.wall - (monotonic - this.#seen.monotonic);
    this.#seen = { wall, monotonic };
    if (Math.abs(jumpMs) < JUMP_MS) return;
    logger.warn(
      { seconds: Math.round(jumpMs / 1000) },
      jumpMs > 0
        ? "the clock went forward: of the runs that were jumped over the latest is sent"
        : "the clock went back: entries wait until it has reached their latest run again",
    );
  }

  // ---- saving

  #confirmed(): void {
    this.#unsaved += 1;
    const { beatSyncEvery } = this.#options.app.conf;
    if (beatSyncEvery !== null && beatSyncEvery > 0 && this.#unsaved >= beatSyncEvery) {
      this.#saveTimer?.cancel();
      this.#saveTimer = null;
      this.#saving = this.#save();
    } else if (this.#saveTimer === null) {
      this.#saveTimer = this.#options.app.clock.setTimer(this.#saveDelayMs, () => {
        this.#saveTimer = null;
        this.#saving = this.#save();
      });
    }
  }

  /** Never rejects: a run that is not saved is sent once more after a restart, under its id. */
  async #save(): Promise<void> {
    const { app, store, logger } = this.#options;
    await this.#saving;
    if (!this.#leading) return;
    this.#unsaved = 0;
    const startedMs = app.clock.monotonic();
    try {
      const kept = await store.save(this.#scheduler.runs());
      this.#saveDelayMs = Math.max(SAVE_MS, 20 * (app.clock.monotonic() - startedMs));
      if (!kept) this.#stepDown();
    } catch (err) {
      logger.error({ err, store: store.location }, "what has run could not be saved");
    }
  }

  #stepDown(): void {
    this.#leading = false;
    this.#timer?.cancel();
    this.#arm(STANDBY_MS);
  }
}
