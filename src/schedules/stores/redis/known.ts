/** What a scheduler has been told of a schedule in Redis, so that it hears of what has changed, and of nothing else. */
import type { PeriodicTask } from "../../../app/periodic.ts";
import type { Clock } from "../../../base/clock.ts";
import type { Logger } from "../../../base/logger.ts";
import { dueRun } from "../../due.ts";
import { beginning } from "../../slots.ts";
import type { EntryRuns, ScheduleChange } from "../store.ts";
import type { StoredEntry } from "./entries.ts";

export interface KnownOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** IANA name: the setting `timezone`. */
  readonly zone: string;
}

interface Known {
  readonly shape: string;
  readonly task: PeriodicTask;
  /** Latest run that the server has. */
  notedMs: number | null;
}

/** An entry of the program; `shape`: as data, null: it is none. */
interface Own {
  readonly task: PeriodicTask;
  readonly shape: string | null;
}

export class KnownEntries {
  readonly #options: KnownOptions;
  readonly #known = new Map<string, Known>();
  readonly #own = new Map<string, Own>();
  /** Texts that were complained of. */
  readonly #unreadable = new Map<string, string>();

  constructor(options: KnownOptions) {
    this.#options = options;
  }

  get names(): Iterable<string> {
    return this.#known.keys();
  }

  get(name: string): Readonly<Known> | undefined {
    return this.#known.get(name);
  }

  note(name: string, slotMs: number): void {
    const known = this.#known.get(name);
    if (known !== undefined) known.notedMs = Math.max(known.notedMs ?? slotMs, slotMs);
  }

  /** Begins anew, with the program's own entries as they were just written. */
  reset(tasks: readonly PeriodicTask[], written: readonly StoredEntry[]): void {
    this.#known.clear();
    this.#own.clear();
    for (const [at, task] of tasks.entries()) {
      const stored = written[at];
      this.#own.set(task.name, { task, shape: stored?.kind === "entry" ? stored.shape : null });
    }
  }

  changes(stored: readonly StoredEntry[]): ScheduleChange[] {
    return stored.map((one) => this.#change(one)).filter((change) => change !== null);
  }

  #change(stored: StoredEntry): ScheduleChange | null {
    const { name } = stored;
    const own = this.#own.get(name);
    if (stored.kind === "unreadable") {
      this.#complain(stored);
      return this.#gone(name);
    }
    if (stored.kind === "bare") {
      const isOwn = own?.shape === null && stored.exists;
      return isOwn ? this.#put(own.task, { ...stored, shape: "", ours: true }) : this.#gone(name);
    }
    if (!stored.enabled) return this.#gone(name);
    return this.#put(own?.shape === stored.shape ? own.task : stored.task, stored);
  }

  #put(
    task: PeriodicTask,
    {
      runs,
      shape,
      ours,
    }: { readonly runs: EntryRuns | null; readonly shape: string; readonly ours: boolean },
  ): ScheduleChange | null {
    const known = this.#known.get(task.name);
    const same = known?.shape === shape;
    const moved = known === undefined || (!ours && runs?.lastRunAtMs !== known.notedMs);
    if (same && !moved) return null;
    const newRuns = moved ? (runs ?? this.#neverRun(task)) : null;
    this.#known.set(task.name, {
      shape,
      task,
      notedMs: newRuns?.lastRunAtMs ?? known?.notedMs ?? null,
    });
    return { kind: "put", task, runs: newRuns };
  }

  #gone(name: string): ScheduleChange | null {
    return this.#known.delete(name) ? { kind: "gone", name } : null;
  }

  /** Due at once, as in RedBeat. */
  #neverRun(task: PeriodicTask): EntryRuns {
    const { clock, zone } = this.#options;
    const { schedule, policy } = task;
    if (policy.startTimeMs !== null) {
      return { lastRunAtMs: beginning(task, clock.now()), totalRunCount: 0 };
    }
    const slotMs = dueRun(schedule, { lastRunAtMs: 0, nowMs: clock.now(), zone }) ?? clock.now();
    const beforeMs = schedule.type === "interval" ? schedule.every * 1000 : 1;
    return { lastRunAtMs: slotMs - beforeMs, totalRunCount: 0 };
  }

  #complain({ name, text, reason }: StoredEntry & { readonly kind: "unreadable" }): void {
    if (this.#unreadable.get(name) === text) return;
    this.#unreadable.set(name, text);
    this.#options.logger.error(
      { entry: name, reason },
      "an entry of the schedule cannot be read, and does not run: write it anew, or remove it",
    );
  }
}
