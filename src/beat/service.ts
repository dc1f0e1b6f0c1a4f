/**
 * Sends periodic tasks. Python: `celery.beat.Service`.
 *
 * | state   | the store      | timer                                         | lease is renewed | not renewed for its length | another has it |
 * |---------|----------------|-----------------------------------------------|------------------|----------------------------|----------------|
 * | standby | another has it | asks for it again                             | -                | -                          | -> standby     |
 * | leading | ours           | sends what is due, sleeps until the next slot | -> leading       | -> standby                 | -> standby     |
 *
 * That another has it is seen by a renewal, a save, or a publish (`PET_FENCED`). A process that was stopped meanwhile finds its lease
 * over before it sends anything; what it had begun to send is refused by the broker where that knows the lease (`publish-claim.ts`),
 * and is one of an id that the broker has where it does not.
 *
 * The wall clock may jump: no slot is sent twice, and what becomes of those that were jumped over is their entry's to say (`catchUp`).
 */
import type { AppInternals } from "../app/internals.ts";
import { refuseBlindOverlap } from "../app/overlap.ts";
import type { PeriodicTask } from "../app/periodic.ts";
import { emitSignal } from "../app/signals.ts";
import { zoneOf } from "../app/zone.ts";
import type { Timer } from "../base/clock.ts";
import { Service } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import { OperationalError } from "../errors.ts";
import { durationText } from "../schedules/schedule.ts";
import type { LeaseTerms, LoadedSchedule, ScheduleChange, ScheduleStore } from "../schedules/stores/store.ts";
import { Dispatcher, LINES } from "./dispatcher.ts";
import { type Confirmed, type DueEntry, Scheduler } from "./scheduler.ts";

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
const PASSED_OVER = {
  late: "a run is skipped: it is past beatCronStartingDeadline",
  missed: "a run is skipped: it was missed, and its entry catches up with none",
} as const;

export class BeatService extends Service {
  readonly #options: BeatServiceOptions;
  readonly #scheduler: Scheduler;
  readonly #zone: string;
  /** One for each time that it leads: what an earlier one still sends is nobody's concern. */
  #dispatcher: Dispatcher | null = null;
  /** Where it stands; see above. */
  #leading = false;
  #timer: Timer | null = null;
  #renewTimer: Timer | null = null;
  /** Monotonic ms until which the store is ours for certain. */
  #ownUntilMs = Infinity;
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
    const { app, store } = options;
    const { conf, clock } = app;
    const deadline = conf.beatCronStartingDeadline;
    this.#zone = zoneOf(conf);
    this.#scheduler = new Scheduler({
      zone: this.#zone,
      deadlineMs: deadline === null ? null : deadline * 1000,
    });
    store.follow((changes) => this.#changed(changes));
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
    this.#asking = this.#ask().catch((err: unknown) => {
      if (!(err instanceof OperationalError)) throw err;
      this.#askFailed(err);
    });
    await this.#asking;
  }

  protected async onStop(): Promise<void> {
    const { logger, store } = this.#options;
    logger.info({}, LINES.stopping);
    this.#timer?.cancel();
    this.#saveTimer?.cancel();
    await this.#asking?.catch(() => {});
    this.#timer?.cancel();
    await this.#dispatcher?.stop();
    this.#renewTimer?.cancel();
    this.#saveTimer?.cancel();
    await this.#saving;
    try {
      if (this.#leading) await store.save(this.#scheduler.runs());
    } finally {
      this.#leading = false;
      await this.#release();
      await store.close();
    }
  }

  // ---- standby

  /** Leads if nobody else does; else asks again later. Rejects only when it may never lead. */
  async #ask(): Promise<void> {
    const { app, store, logger } = this.#options;
    const askedMs = app.clock.monotonic();
    const holder = await store.take();
    if (holder !== null) {
      if (!this.#told)
        logger.warn({ store: store.location, holder }, "another beat leads: this one stands by");
      this.#told = true;
      this.#arm(this.#standbyMs);
      return;
    }
    this.#ownUntilMs = askedMs + (store.lease?.ttlMs ?? Infinity);
    this.#renewSoon();
    const { tasks, runs } = await this.#load();
    if (this.stopSignal.aborted) return;
    this.#leading = true;
    this.#dispatcher = this.#newDispatcher();
    if (this.#told) logger.warn({ store: store.location }, "this beat leads now");
    this.#told = false;
    this.#scheduler.begin(
      tasks.filter((task) => this.#canRun(task)),
      runs,
      app.clock.now(),
    );
    await this.#save();
    this.#look();
  }

  async #load(): Promise<LoadedSchedule> {
    const { app, store } = this.#options;
    try {
      return await store.load(app.periodicTasks, app.clock.now());
    } catch (error) {
      this.#renewTimer?.cancel();
      await this.#release();
      throw error;
    }
  }

  #newDispatcher(): Dispatcher {
    const { app, logger, store } = this.#options;
    const dispatcher: Dispatcher = new Dispatcher({
      app,
      logger,
      store,
      zone: this.#zone,
      onConfirmed: (due, ending) => this.#confirmed(due, ending),
      onFenced: () => {
        if (this.#dispatcher === dispatcher) this.#stepDown();
      },
    });
    return dispatcher;
  }

  get #standbyMs(): number {
    return this.#options.store.lease?.askMs ?? STANDBY_MS;
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
    this.#arm(this.#standbyMs);
  }

  // ---- the lease

  /** Never rejects. */
  async #release(): Promise<void> {
    const { store, logger } = this.#options;
    try {
      await store.release();
    } catch (err) {
      logger.error({ err, store: store.location }, "the schedule could not be given back");
    }
  }

  #renewSoon(): void {
    const { app, store } = this.#options;
    if (store.lease === null) return;
    this.#renewTimer?.cancel();
    this.#renewTimer = app.clock.setTimer(store.lease.renewMs, () => this.#renew(store.lease as LeaseTerms));
  }

  /** The next renewal does not wait for this one: the lease ends by our own clock when none is answered. */
  #renew({ ttlMs }: LeaseTerms): void {
    const { app, store, logger } = this.#options;
    if (this.#isOver()) return;
    const askedMs = app.clock.monotonic();
    store.renew().then(
      (ours) => {
        if (ours) this.#ownUntilMs = Math.max(this.#ownUntilMs, askedMs + ttlMs);
        else this.#stepDown();
      },
      (err: unknown) => logger.debug({ err }, "the lease of the schedule could not be renewed"),
    );
    this.#renewSoon();
  }

  /** Steps down when the lease has ended by our own clock. */
  #isOver(): boolean {
    const { app } = this.#options;
    if (app.clock.monotonic() < this.#ownUntilMs) return false;
    this.#stepDown();
    return true;
  }

  /** What another program has changed in the store. */
  #changed(changes: readonly ScheduleChange[]): void {
    if (!this.#leading) return;
    const { app, logger } = this.#options;
    for (const change of changes) {
      if (change.kind === "put" && this.#canRun(change.task)) {
        this.#scheduler.put(change.task, change.runs, app.clock.now());
      } else this.#scheduler.remove(change.kind === "gone" ? change.name : change.task.name);
      const name = change.kind === "gone" ? change.name : change.task.name;
      logger.info({ entry: name, change: change.kind }, "beat: the schedule was changed");
    }
    this.#timer?.cancel();
    this.#look();
  }

  /** Says so of an entry of the store that cannot. */
  #canRun(task: PeriodicTask): boolean {
    const { app, logger } = this.#options;
    try {
      refuseBlindOverlap(task, app);
      return true;
    } catch (err) {
      logger.error({ entry: task.name, err }, "an entry is left out of the schedule: it cannot run");
      return false;
    }
  }

  // ---- leading

  #look(): void {
    const { app, logger, maxIntervalMs } = this.#options;
    if (this.#isOver()) return;
    const nowMs = app.clock.now();
    this.#noticeJump(nowMs);
    for (const due of this.#scheduler.takeDue(nowMs)) {
      if (due.verdict === "send") this.#dispatcher?.send(due);
      else {
        const { name, task } = due.entry.task;
        logger.warn({ entry: name, task, slot: new Date(due.slotMs) }, PASSED_OVER[due.verdict]);
      }
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
        ? "the clock went forward: what becomes of the runs that were jumped over is each entry's catchUp"
        : "the clock went back: entries wait until it has reached their latest run again",
    );
  }

  // ---- saving

  #confirmed(due: DueEntry, ending: Confirmed): void {
    this.#unsaved += 1;
    const { conf, clock } = this.#options.app;
    const { beatSyncEvery } = conf;
    if (this.#scheduler.confirm(due, ending, clock.now()) && this.#leading && !this.stopSignal.aborted) {
      this.#timer?.cancel();
      this.#look();
    }
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
    this.#renewTimer?.cancel();
    if (!this.#leading) return;
    const { logger, store } = this.#options;
    logger.warn({ store: store.location }, "this beat leads no more: it stands by");
    this.#leading = false;
    void this.#release();
    void this.#dispatcher?.stop();
    this.#saveTimer?.cancel();
    this.#saveTimer = null;
    this.#timer?.cancel();
    this.#arm(this.#standbyMs);
  }
}
