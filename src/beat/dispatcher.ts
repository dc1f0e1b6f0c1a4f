/**
 * Sends what is due, until the broker has it or its entry's next slot comes. Attempts at one slot have one id and one key, so that
 * the broker publishes it once.
 */
import type { AppInternals } from "../app/internals.ts";
import { fullJitterMs } from "../base/backoff.ts";
import type { Logger } from "../base/logger.ts";
import { OperationalError, PetioleError } from "../errors.ts";
import { nextSlot } from "../schedules/slots.ts";
import type { ScheduleStore } from "../schedules/stores/store.ts";
import { isUnfinished } from "./overlap.ts";
import { runOf } from "./runs.ts";
import type { Confirmed, DueEntry, Entry } from "./scheduler.ts";

export interface DispatcherOptions {
  readonly app: AppInternals;
  readonly logger: Logger;
  readonly store: ScheduleStore;
  /** IANA name: the setting `timezone`. */
  readonly zone: string;
  /** A slot needs no further attempt. */
  readonly onConfirmed: (due: DueEntry, ending: Confirmed) => void;
  /** The broker refused a run: another scheduler leads. */
  readonly onFenced: () => void;
}

/**
 * | sent     | the broker has it                                                        |
 * | given up | no attempt mends it, or the next slot has come                           |
 * | removed  | its entry is there no more                                               |
 * | skipped  | the run before has not ended                                             |
 * | left     | the scheduler ends, or leads no more: whoever leads next sends it        |
 */
type Ending = Confirmed | "skipped" | "left";

const BACKOFF = { baseMs: 500, capMs: 15_000 };
/** Of the time that a slot lasts, so that none passes unused once the broker is back. */
const LONGEST_PAUSE = 1 / 4;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #sending = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  send(due: DueEntry): void {
    const { logger, onConfirmed } = this.#options;
    const { name, task } = due.entry.task;
    logger.info({ entry: name, task }, LINES.due);
    const sending = this.#attempts(due).then((ending) => {
      this.#sending.delete(sending);
      if (ending !== "skipped" && ending !== "left") onConfirmed(due, ending);
    });
    this.#sending.add(sending);
  }

  /** Resolves when every attempt has ended: no further one is begun. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#sending);
  }

  async #attempts({ entry, slotMs }: DueEntry): Promise<Ending> {
    const { app, logger, zone, store, onFenced } = this.#options;
    const { task } = entry;
    const claim = store.claim(task, { lastRunAtMs: slotMs, totalRunCount: entry.totalRunCount + 1 });
    const run = { ...runOf(app.app.name, task.name, slotMs), claim };
    const fields = { entry: task.name, task: task.task, id: run.id };
    for (let attempt = 1; ; attempt += 1) {
      try {
        if (task.policy.overlap === "skip" && (await isUnfinished(entry, app))) {
          logger.warn(fields, "a run is skipped: the one before has not ended");
          return "skipped";
        }
        await app.sendPeriodic(task, run);
        logger.debug(fields, LINES.sent);
        return "sent";
      } catch (err) {
        if (err instanceof PetioleError && err.code === "PET_FENCED") {
          onFenced();
          return "left";
        }
        if (err instanceof PetioleError && err.code === "PET_SCHEDULE") {
          logger.info(fields, "a run is not sent: its entry was removed");
          return "removed";
        }
        if (!(err instanceof OperationalError)) {
          logger.error({ ...fields, err }, LINES.failed);
          return "given up";
        }
        if (isPast(entry, slotMs)) return this.#missed(fields, err);
        if (this.#stop.signal.aborted) {
          logger.error(
            { ...fields, err },
            "a due task was not sent before the end: whoever leads next sends it",
          );
          return "left";
        }
        const lastsMs = nextSlot(task, slotMs, zone) - slotMs;
        const delayMs = Math.min(fullJitterMs(attempt, BACKOFF), lastsMs * LONGEST_PAUSE);
        logger.error({ ...fields, err, seconds: Math.round(delayMs / 100) / 10 }, LINES.again);
        await this.#pause(delayMs);
        if (isPast(entry, slotMs)) return this.#missed(fields, err);
      }
    }
  }

  #missed(fields: object, err: unknown): Ending {
    this.#options.logger.error(
      { ...fields, err },
      "a due task was not sent before its next slot: it is given up for that one",
    );
    return "given up";
  }

  #pause(delayMs: number): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = this.#options.app.clock.setTimer(delayMs, done);
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    });
  }
}

/** The entry is at a later slot. */
function isPast(entry: Entry, slotMs: number): boolean {
  return entry.lastRunAtMs > slotMs;
}

/** Constant texts; as Celery words them in `LINES` of the log. */
export const LINES = {
  starting: "beat: Starting...",
  stopping: "beat: Shutting down...",
  due: "Scheduler: Sending due task",
  sent: "beat: task sent",
  failed: "beat: a due task cannot be sent",
  again: "beat: Connection error, trying again",
} as const;
