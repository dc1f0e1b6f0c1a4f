/**
 * Which entry runs when. It keeps no clock running: the service asks it what is due. Python: `celery.beat.Scheduler`.
 *
 * | an entry is | due                                  | sent                 | given up                       |
 * |-------------|--------------------------------------|----------------------|--------------------------------|
 * | waiting     | -> sending, with the slot; too late, or missed: -> waiting | | |
 * | sending     | the slot before is given up; -> sending, with the new slot | -> waiting; confirmed | -> waiting; confirmed |
 * | sending, `catchUp: "all"` | waits for the end of the slot before | -> waiting; confirmed | never |
 * | over        | never                                | -                    | -                              |
 *
 * Over is an entry that has no further slot: `oneOff` after its run, `clocked`, past its `endTime`.
 * What is saved is the slot that was confirmed: one that was being sent when the process ended is sent again, with the same id.
 */
import type { PeriodicTask } from "../app/periodic.ts";
import { DueHeap } from "../base/due-heap.ts";
import { nowOf } from "../schedules/schedule.ts";
import { beginning, latestSlot, nextSlot, sendTime } from "../schedules/slots.ts";
import type { EntryRuns, StoredRuns } from "../schedules/stores/store.ts";

export interface Entry {
  readonly task: PeriodicTask;
  /** The slot that it counts from. */
  lastRunAtMs: number;
  /** The latest slot that needs no further attempt. */
  confirmedMs: number;
  /** Of slots that were confirmed. */
  totalRunCount: number;
  /** A slot is being sent before which no other is. */
  held: boolean;
}

/**
 * An entry that is to be sent now, or whose slot is passed over: `late`, by `beat_cron_starting_deadline`; `missed`, by its option
 * `catchUp`.
 */
export interface DueEntry {
  readonly entry: Entry;
  readonly slotMs: number;
  readonly verdict: "send" | "late" | "missed";
}

/** Why a slot needs no further attempt. Removed: its entry is there no more, and it counts for nothing. */
export type Confirmed = "sent" | "given up" | "removed";

export interface SchedulerOptions {
  /** IANA name: the setting `timezone`. */
  readonly zone: string;
  /** `beat_cron_starting_deadline`; null: none. */
  readonly deadlineMs: number | null;
}

/** Later than this a slot was missed: longer than another scheduler needs to take over. */
const MISSED_MS = 10_000;

export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #entries = new Map<string, Entry>();
  #heap = new DueHeap<Entry>();

  constructor(options: SchedulerOptions) {
    this.#options = options;
  }

  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  /** What is not stored begins now: its first run is the first slot after. */
  begin(tasks: readonly PeriodicTask[], stored: StoredRuns, nowMs: number): void {
    this.#entries.clear();
    this.#heap = new DueHeap();
    for (const task of tasks) this.#add(task, stored.get(task.name) ?? null, nowMs);
  }

  /** Takes the place of one of its name. Runs null: those of that one; a slot of it that is being sent is due again, under its id. */
  put(task: PeriodicTask, runs: EntryRuns | null, nowMs: number): void {
    const before = this.#entries.get(task.name);
    const kept = before && { lastRunAtMs: before.confirmedMs, totalRunCount: before.totalRunCount };
    this.#add(task, runs ?? kept ?? null, nowMs);
  }

  remove(name: string): void {
    this.#entries.delete(name);
  }

  /** When there is something to do; null: never. */
  nextMs(): number | null {
    return this.#heap.nextDueMs();
  }

  /** What has become due, earliest first. */
  takeDue(nowMs: number): DueEntry[] {
    const due: DueEntry[] = [];
    for (const entry of this.#heap.takeDue(nowMs)) {
      if (this.#entries.get(entry.task.name) !== entry) continue;
      const found = this.#dueOf(entry, nowOf(entry.task.schedule, nowMs));
      const { catchUp, oneOff } = entry.task.policy;
      if (found !== null) {
        due.push(found);
        entry.lastRunAtMs = found.slotMs;
        if (found.verdict !== "send") this.#passOver(entry);
        else if (oneOff) continue;
        else if (catchUp === "all") {
          entry.held = true;
          continue;
        }
      }
      this.#plan(entry, nowMs);
    }
    return due;
  }

  /**
   * A slot that `takeDue` gave needs no further attempt. true: there is something to do anew.
   *
   * Where runs must not overlap, only a run that was sent is one whose end others wait for.
   */
  confirm({ entry, slotMs }: DueEntry, ending: Confirmed, nowMs: number): boolean {
    if (ending === "sent" || (ending === "given up" && entry.task.policy.overlap === "allow")) {
      entry.confirmedMs = Math.max(entry.confirmedMs, slotMs);
      entry.totalRunCount += 1;
    }
    if (!entry.held || this.#entries.get(entry.task.name) !== entry) return false;
    entry.held = false;
    this.#plan(entry, nowMs);
    return true;
  }

  /** For the store. */
  runs(): StoredRuns {
    return new Map(
      [...this.#entries].map(([name, { confirmedMs, totalRunCount }]) => [
        name,
        { lastRunAtMs: confirmedMs, totalRunCount },
      ]),
    );
  }

  #add(task: PeriodicTask, runs: EntryRuns | null, nowMs: number): void {
    const lastRunAtMs = runs?.lastRunAtMs ?? beginning(task, nowOf(task.schedule, nowMs));
    const totalRunCount = runs?.totalRunCount ?? 0;
    const entry: Entry = { task, lastRunAtMs, confirmedMs: lastRunAtMs, totalRunCount, held: false };
    this.#entries.set(task.name, entry);
    if (!task.policy.oneOff || totalRunCount === 0) this.#plan(entry, nowMs);
  }

  #passOver(entry: Entry): void {
    if (entry.task.policy.overlap === "allow") entry.confirmedMs = entry.lastRunAtMs;
  }

  #dueOf(entry: Entry, nowMs: number): DueEntry | null {
    const { zone } = this.#options;
    const { task } = entry;
    const { catchUp } = task.policy;
    const next = nextSlot(task, entry.lastRunAtMs, zone);
    if (sendTime(task, next, zone) > nowMs) return null;
    const late = this.#late(entry, nowMs);
    if (late !== null) return { entry, slotMs: late, verdict: "late" };
    if (catchUp === "all") return { entry, slotMs: next, verdict: "send" };
    const slotMs = this.#latest(entry, nowMs) ?? next;
    const missed = catchUp === "skip" && nowMs - sendTime(task, slotMs, zone) > MISSED_MS;
    return { entry, slotMs, verdict: missed ? "missed" : "send" };
  }

  /** The latest slot that is too late by the setting, and has none after it that is not. */
  #late({ task, lastRunAtMs }: Entry, nowMs: number): number | null {
    const { deadlineMs, zone } = this.#options;
    if (deadlineMs === null || (task.schedule.type !== "crontab" && task.schedule.type !== "cron"))
      return null;
    const untilMs = nowMs - deadlineMs - 1;
    const slotMs = latestSlot(task, { lastRunAtMs, nowMs: untilMs, zone });
    if (slotMs === null) return null;
    return sendTime(task, nextSlot(task, slotMs, zone), zone) > nowMs || task.policy.catchUp === "all"
      ? slotMs
      : null;
  }

  /** The latest slot whose time to be sent has come. */
  #latest({ task, lastRunAtMs }: Entry, nowMs: number): number | null {
    const { zone } = this.#options;
    const slotMs = latestSlot(task, { lastRunAtMs, nowMs, zone });
    if (slotMs === null || sendTime(task, slotMs, zone) <= nowMs) return slotMs;
    return latestSlot(task, { lastRunAtMs, nowMs: slotMs - 1, zone });
  }

  #plan(entry: Entry, nowMs: number): void {
    const { zone } = this.#options;
    const { task, lastRunAtMs } = entry;
    const { endTimeMs } = task.policy;
    const ownNowMs = nowOf(task.schedule, nowMs);
    if (endTimeMs !== null && ownNowMs > endTimeMs) return;
    const atMs = sendTime(task, nextSlot(task, lastRunAtMs, zone), zone);
    if (atMs !== Infinity) this.#heap.add(atMs - (ownNowMs - nowMs), entry);
  }
}
