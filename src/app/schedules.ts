/** `app.schedules`: entries of the schedule, looked at and changed while schedulers run. */
import { didYouMean } from "../base/nearest.ts";
import { uuid4 } from "../base/uuid.ts";
import { PetioleError } from "../errors.ts";
import { scheduleText } from "../schedules/schedule.ts";
import { nextSlot } from "../schedules/slots.ts";
import type { ListedEntry, ScheduleStore } from "../schedules/stores/store.ts";
import type { AppInternals } from "./internals.ts";
import { refuseBlindOverlap } from "./overlap.ts";
import { type BeatEntry, entryOf, type PeriodicTask, periodicTask, readBeatEntry } from "./periodic.ts";
import type { AsyncResult } from "./result-types.ts";
import { type ScheduleWords, scheduleOptions } from "./schedule-store.ts";
import type { ScheduleInfo, Schedules, UnreadableSchedule } from "./schedule-types.ts";
import { zoneOf } from "./zone.ts";

export type ScheduleHost = Pick<
  AppInternals,
  "app" | "conf" | "clock" | "logger" | "finalize" | "periodicTasks" | "registry" | "sendPeriodic"
>;
type Entry = ListedEntry & { readonly kind: "entry" };

export class AppSchedules implements Schedules {
  readonly #host: ScheduleHost;
  readonly #words: ScheduleWords;
  #store: Promise<ScheduleStore> | null = null;

  /** `words`: instead of settings. */
  constructor(host: ScheduleHost, words: ScheduleWords = {}) {
    this.#host = host;
    this.#words = words;
  }

  async list(): Promise<readonly (ScheduleInfo | UnreadableSchedule)[]> {
    const all = await this.#all();
    return all.map((one) => this.#shown(one)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async get(name: string): Promise<ScheduleInfo | UnreadableSchedule> {
    return this.#shown(await this.#find(name));
  }

  async add(name: string, entry: BeatEntry): Promise<ScheduleInfo> {
    const task = taskOf(name, entry);
    if ((await this.#all()).some((one) => one.name === name)) {
      throw new PetioleError(
        "PET_SCHEDULE",
        `there is an entry ${JSON.stringify(name)} already: edit it, or give the new one another name`,
      );
    }
    return this.#put(task, entry.enabled !== false);
  }

  async edit(name: string, changes: Partial<BeatEntry>): Promise<ScheduleInfo> {
    const entry = await this.#entry(name);
    const given = Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
    if (entry.task.signature !== null) {
      if (changes.enabled !== undefined && Object.keys(given).length === 1) {
        return this.#put(entry.task, changes.enabled);
      }
      throw new PetioleError(
        "PET_SCHEDULE",
        `entry ${JSON.stringify(name)} is a signature of the app's modules: change it there`,
      );
    }
    const task = taskOf(name, { ...entryOf(entry.task), ...given });
    return this.#put(task, changes.enabled ?? entry.enabled);
  }

  enable(name: string): Promise<ScheduleInfo> {
    return this.#able(name, true);
  }

  disable(name: string): Promise<ScheduleInfo> {
    return this.#able(name, false);
  }

  async run(name: string): Promise<AsyncResult<unknown>> {
    const { task } = await this.#entry(name);
    const id = uuid4();
    const result = await this.#host.sendPeriodic(task, { id, key: `beat:${id}`, keyMs: 1000, claim: null });
    return result as AsyncResult<unknown>;
  }

  async remove(name: string): Promise<void> {
    const store = await this.#opened();
    await this.#find(name);
    await store.remove(name);
  }

  async close(): Promise<void> {
    const store = await this.#store?.catch(() => null);
    this.#store = null;
    await store?.close();
  }

  async #able(name: string, enabled: boolean): Promise<ScheduleInfo> {
    return this.#put((await this.#entry(name)).task, enabled);
  }

  async #put(task: PeriodicTask, enabled: boolean): Promise<ScheduleInfo> {
    const store = await this.#opened();
    if (enabled) refuseBlindOverlap(task, this.#host);
    await store.put(task, enabled);
    return this.#shown(await this.#entry(task.name)) as ScheduleInfo;
  }

  async #all(): Promise<readonly ListedEntry[]> {
    const store = await this.#opened();
    return store.list(this.#host.periodicTasks);
  }

  async #find(name: string): Promise<ListedEntry> {
    const all = await this.#all();
    const found = all.find((one) => one.name === name);
    if (found !== undefined) return found;
    const meant = didYouMean(
      name,
      all.map((one) => one.name),
    );
    const { location } = await this.#opened();
    throw new PetioleError(
      "PET_SCHEDULE",
      `there is no entry ${JSON.stringify(name)} in the schedule (${location})${meant || ": petiole schedule list shows what there is"}`,
    );
  }

  async #entry(name: string): Promise<Entry> {
    const found = await this.#find(name);
    if (found.kind === "entry") return found;
    throw new PetioleError(
      "PET_SCHEDULE",
      `entry ${JSON.stringify(name)} cannot be read (${found.reason}): remove it, and add it anew`,
    );
  }

  #shown(listed: ListedEntry): ScheduleInfo | UnreadableSchedule {
    if (listed.kind === "unreadable") {
      return { kind: "unreadable", name: listed.name, reason: listed.reason };
    }
    const { name, task, enabled, runs, own } = listed;
    const { conf, clock } = this.#host;
    const nextMs = nextSlot(task, runs?.lastRunAtMs ?? clock.now(), zoneOf(conf));
    return {
      kind: "entry",
      name,
      task: task.task,
      schedule: task.schedule,
      when: scheduleText(task.schedule),
      args: task.args,
      kwargs: task.kwargs,
      options: task.options,
      enabled,
      lastRunAt: runs === null ? null : new Date(runs.lastRunAtMs),
      totalRunCount: runs?.totalRunCount ?? 0,
      nextRunAt: enabled && Number.isFinite(nextMs) ? new Date(nextMs) : null,
      own,
    };
  }

  #opened(): Promise<ScheduleStore> {
    this.#store ??= this.#open().catch((error: unknown) => {
      this.#store = null;
      throw error;
    });
    return this.#store;
  }

  async #open(): Promise<ScheduleStore> {
    await this.#host.finalize();
    const { openScheduleStore } = await import("../schedules/stores/open.ts");
    return openScheduleStore(scheduleOptions(this.#host, this.#words));
  }
}

function taskOf(name: string, entry: BeatEntry): PeriodicTask {
  if (name === "") throw new PetioleError("PET_SCHEDULE", "an entry needs a name that is not empty");
  return periodicTask(name, readBeatEntry(name, entry));
}
