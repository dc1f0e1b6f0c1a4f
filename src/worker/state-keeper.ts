/**
 * What a worker holds in memory of its state DB, and how sure it is of it. While it is sure a task starts without a look at
 * the store.
 *
 * | state    | memory holds              | a task before it starts               | a revoke          | leaves to |
 * |----------|---------------------------|---------------------------------------|-------------------|-----------|
 * | loading  | what was revoked since    | is looked up                          | written           | sure, partial, away |
 * | sure     | all that the store has    | no look-up                            | written           | loading (gap), partial (too many), away |
 * | partial  | the newest                | is looked up                          | written           | loading, away |
 * | away     | may lack some             | policy `fail`: waits; `warn`: starts, and the log says so | queued | loading |
 *
 * A checkpoint (blob, clock, name) is written every 30 s and at the end, never before everything was loaded.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { LamportClock } from "../base/lamport-clock.ts";
import type { Logger } from "../base/logger.ts";
import { RareWarning } from "../base/rare-warning.ts";
import { ImproperlyConfigured, OperationalError } from "../errors.ts";
import type { Follower, Revocations, StateDb, StateSnapshot } from "../statedb/state-db.ts";
import { RevokeQueue } from "./revoke-queue.ts";
import type { Marked, Revoked, RevokedDoubt } from "./revoked.ts";

export interface StateKeeperOptions {
  readonly db: StateDb;
  readonly revoked: Revoked;
  readonly clock: Clock;
  readonly lamport: LamportClock;
  readonly logger: Logger;
  readonly policy: "fail" | "warn";
}

const CHECKPOINT_MS = 30_000;
/** Of the start: as celery-redis-statedb tries. */
const ATTEMPTS = 3;
const BACKOFF_MS = 100;
/** After a look-up or a load that failed though the store is there. */
const AGAIN_MS = 1_000;
/** What the last writes of a worker that stops may take. */
const LAST_MS = 5_000;

interface Found {
  readonly ids: ReadonlySet<string>;
  readonly stamps: ReadonlySet<string>;
}

type State = "loading" | "sure" | "partial" | "away";

export class StateKeeper implements RevokedDoubt, Follower {
  readonly #options: StateKeeperOptions;
  readonly #queue: RevokeQueue;
  readonly #unchecked: RareWarning;
  readonly #failures: RareWarning;
  readonly #stopping = new AbortController();
  #state: State = "loading";
  #loading: Promise<void> | null = null;
  #again = false;
  #loaded = false;
  /** Changed since the last checkpoint. */
  #dirty = false;
  /** Members that came since a load began: its answer may lack them. */
  #since: { readonly ids: Set<string>; readonly stamps: Set<string> } | null = null;
  #beat: Timer | null = null;
  #retry: Timer | null = null;
  #fenced = false;
  /** Memory had no room for all since the last load. */
  #dropped = false;
  /** Look-ups of this turn. */
  #asking: { readonly ids: Set<string>; readonly stamps: Set<string>; readonly done: Promise<Found> } | null =
    null;
  /** Of tasks that wait for the store. */
  #onSure: (() => void)[] = [];

  constructor(options: StateKeeperOptions) {
    const { db, clock, logger } = options;
    this.#options = options;
    this.#queue = new RevokeQueue({ db, clock, logger, max: options.revoked.max });
    const rare = (message: string): RareWarning => new RareWarning({ clock, logger, message });
    this.#unchecked = rare(
      "tasks start though it is not known whether they are revoked: the state DB is away",
    );
    this.#failures = rare("the state DB cannot be reached");
  }

  get state(): State {
    return this.#state;
  }

  /** Revokes that the store does not have yet. */
  get queued(): number {
    return this.#queue.size;
  }

  // ---- start and stop

  /** @throws ImproperlyConfigured, and with the policy `fail` whatever kept the store from being read */
  async start(signal: AbortSignal): Promise<void> {
    const { db, revoked, clock, policy, logger } = this.#options;
    revoked.doubt = this;
    revoked.onDrop = () => {
      this.#dropped = true;
      if (this.#state === "sure") this.#become("partial");
    };
    db.follow(this);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await db.start(signal);
        await (this.#loading ?? this.#load());
        break;
      } catch (err) {
        signal.throwIfAborted();
        const isFinal = !(err instanceof OperationalError) || err.code === "PET_BROKER_REFUSED";
        if (isFinal || (attempt >= ATTEMPTS && policy === "fail")) throw stateDbError(db, err);
        if (attempt >= ATTEMPTS) {
          this.#become("away");
          logger.error(
            { statedb: db.location, err },
            "the state DB cannot be reached: the worker starts without it, and takes in what is revoked when it is there",
          );
          break;
        }
        await pause(clock, BACKOFF_MS * 2 ** (attempt - 1));
      }
    }
    this.#arm();
  }

  /** Writes what is to be written. */
  async stop(): Promise<void> {
    const { db, clock, revoked } = this.#options;
    if (this.#stopping.signal.aborted) return;
    this.#beat?.cancel();
    this.#retry?.cancel();
    const end = clock.setTimer(LAST_MS, () => this.#stopping.abort());
    await this.#queue.close(this.#stopping.signal);
    if (this.#loaded && this.#state !== "away") await this.#checkpoint();
    end.cancel();
    this.#stopping.abort();
    this.#release();
    this.#unchecked.stop();
    this.#failures.stop();
    revoked.doubt = null;
    revoked.onDrop = null;
    await db.stop();
  }

  // ---- revokes

  /** Writes what was revoked here. "queued": the store does not have it yet, and gets it when it can. Never rejects. */
  record(revoked: Revocations): Promise<"written" | "queued"> {
    this.#note(revoked);
    return this.#queue.add(revoked);
  }

  /**
   * Before a task starts while memory may lack something: whether the store says that it is revoked. Never rejects. Ends when
   * `signal` aborts: the task is not to start then.
   */
  async check(task: Marked, signal: AbortSignal): Promise<boolean> {
    const { revoked, policy } = this.#options;
    for (;;) {
      if (revoked.covers(task)) return true;
      if (signal.aborted || this.#state === "sure") return false;
      if (this.#state !== "away") {
        try {
          const stamps = revoked.stampsOf(task);
          const found = await this.#ask(task.id, stamps);
          return found.ids.has(task.id) || stamps.some((stamp) => found.stamps.has(stamp));
        } catch (err) {
          this.#failures.say({ statedb: this.#options.db.location, reason: (err as Error).message });
        }
      }
      if (policy === "warn") {
        this.#unchecked.say({ id: task.id, task: task.task, statedb: this.#options.db.location });
        return false;
      }
      await this.#untilChange(signal);
    }
  }

  /** The look-ups of one turn go together. */
  #ask(id: string, stamps: readonly string[]): Promise<Found> {
    this.#asking ??= {
      ids: new Set(),
      stamps: new Set(),
      done: Promise.resolve().then(() => this.#lookUp()),
    };
    this.#asking.ids.add(id);
    for (const stamp of stamps) this.#asking.stamps.add(stamp);
    return this.#asking.done;
  }

  async #lookUp(): Promise<Found> {
    const asked = this.#asking;
    this.#asking = null;
    const found = await this.#options.db.lookUp({
      ids: [...(asked?.ids ?? [])],
      stamps: [...(asked?.stamps ?? [])],
    });
    // Not taken in: they may be older than all that memory has room for.
    return { ids: new Set(found.ids), stamps: new Set(found.stamps) };
  }

  /** Until the store is there, or a moment has gone by. */
  #untilChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", go);
        this.#onSure = this.#onSure.filter((one) => one !== go);
        resolve();
      };
      const timer = this.#options.clock.setTimer(AGAIN_MS, go, { unref: true });
      signal.addEventListener("abort", go, { once: true });
      this.#onSure.push(go);
    });
  }

  #release(): void {
    const waiting = this.#onSure;
    this.#onSure = [];
    for (const go of waiting) go();
  }

  #note(revoked: Revocations): void {
    this.#dirty = true;
    for (const id of revoked.ids) this.#since?.ids.add(id);
    for (const stamp of revoked.stamps) this.#since?.stamps.add(stamp);
  }

  // ---- what the store says

  onChange(revoked: Revocations): void {
    this.#note(revoked);
    this.#options.revoked.addAll(revoked);
  }

  onGap(): void {
    if (this.#stopping.signal.aborted) return;
    this.#become("loading");
    this.#load().catch((err: unknown) => this.#loadLater(err));
  }

  onAway(): void {
    this.#become("away");
    this.#options.logger.warn(
      { statedb: this.#options.db.location },
      "the state DB is away: revokes are queued",
    );
  }

  onRival(rival: string): void {
    this.#options.logger.error(
      { statedb: this.#options.db.location, rival },
      "another worker has the same node name: both hold the same state, and one of them writes no checkpoints; give each its own with -n",
    );
  }

  #become(state: State): void {
    const { revoked } = this.#options;
    this.#state = state;
    revoked.doubt = state === "sure" ? null : this;
    if (state === "sure" || state === "partial") this.#release();
  }

  #loadLater(err: unknown): void {
    if (this.#stopping.signal.aborted || this.#state === "away") return;
    this.#failures.say({ statedb: this.#options.db.location, reason: (err as Error).message });
    this.#retry?.cancel();
    this.#retry = this.#options.clock.setTimer(AGAIN_MS, () => this.onGap(), { unref: true });
  }

  /** Takes in all of the store; a gap during it makes it begin anew. */
  #load(): Promise<void> {
    this.#again = true;
    this.#loading ??= this.#loadAll().finally(() => {
      this.#loading = null;
      this.#since = null;
    });
    return this.#loading;
  }

  async #loadAll(): Promise<void> {
    const { db, revoked, lamport } = this.#options;
    while (this.#again) {
      this.#again = false;
      this.#since = { ids: new Set(), stamps: new Set() };
      await this.#queue.flush();
      const snapshot = await db.load(revoked.max);
      if (this.#again) continue;
      this.#take(snapshot);
      if (!this.#loaded && snapshot.clock > 0) lamport.adjust(snapshot.clock);
      this.#loaded = true;
    }
  }

  #take(snapshot: StateSnapshot): void {
    const { revoked } = this.#options;
    const { ids, stamps } = this.#queue.waiting();
    const since = this.#since;
    this.#dropped = false;
    revoked.replace(snapshot);
    revoked.addAll({ ids: [...ids, ...(since?.ids ?? [])], stamps: [...stamps, ...(since?.stamps ?? [])] });
    this.#dirty = true;
    this.#become(snapshot.complete && !this.#dropped ? "sure" : "partial");
  }

  // ---- checkpoints

  #arm(): void {
    const next = (): void => {
      void this.#checkpoint().then(() => {
        if (!this.#stopping.signal.aborted) this.#arm();
      });
    };
    this.#beat = this.#options.clock.setTimer(CHECKPOINT_MS, next, { unref: true });
  }

  async #checkpoint(): Promise<void> {
    const { db, revoked, lamport, logger } = this.#options;
    if (!this.#loaded || this.#state === "away") return;
    // The blob holds nothing that the sets lack.
    const ready = this.#dirty && (await this.#queue.flush()) === "written";
    const ids = ready ? revoked.ids.ages() : null;
    if (ready) this.#dirty = false;
    try {
      const how = await db.checkpoint({ ids, clock: lamport.forward() });
      if (how === "done" || this.#fenced) return;
      this.#fenced = true;
      logger.error(
        { statedb: db.location },
        "a later worker has this node name: this one writes no checkpoints any more",
      );
    } catch (err) {
      this.#dirty ||= ids !== null;
      this.#failures.say({ statedb: db.location, reason: (err as Error).message });
    }
  }
}

function stateDbError(db: StateDb, cause: unknown): unknown {
  const { code } = cause as NodeJS.ErrnoException;
  if (typeof code === "string" && /^E[A-Z]+$/.test(code)) {
    return new ImproperlyConfigured(
      `the state DB ${db.location} cannot be used: ${(cause as Error).message}`,
      { cause },
    );
  }
  if (!(cause instanceof OperationalError)) return cause;
  return new OperationalError(`the state DB ${db.location} cannot be used: ${cause.message}`, {
    cause,
    code: cause.code,
  });
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(ms, resolve);
  });
}
