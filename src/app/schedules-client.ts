/** `app.schedules`, whose work is loaded with the first call. */

import type { BeatEntry } from "./periodic.ts";
import type { AsyncResult } from "./result-types.ts";
import type { ScheduleInfo, Schedules, UnreadableSchedule } from "./schedule-types.ts";
import type { AppSchedules, ScheduleHost } from "./schedules.ts";

export class SchedulesClient implements Schedules {
  readonly #host: ScheduleHost;
  #loading: Promise<AppSchedules> | null = null;

  constructor(host: ScheduleHost) {
    this.#host = host;
  }

  async list(): Promise<readonly (ScheduleInfo | UnreadableSchedule)[]> {
    return (await this.#loaded()).list();
  }

  async get(name: string): Promise<ScheduleInfo | UnreadableSchedule> {
    return (await this.#loaded()).get(name);
  }

  async add(name: string, entry: BeatEntry): Promise<ScheduleInfo> {
    return (await this.#loaded()).add(name, entry);
  }

  async edit(name: string, changes: Partial<BeatEntry>): Promise<ScheduleInfo> {
    return (await this.#loaded()).edit(name, changes);
  }

  async enable(name: string): Promise<ScheduleInfo> {
    return (await this.#loaded()).enable(name);
  }

  async disable(name: string): Promise<ScheduleInfo> {
    return (await this.#loaded()).disable(name);
  }

  async run(name: string): Promise<AsyncResult<unknown>> {
    return (await this.#loaded()).run(name);
  }

  async remove(name: string): Promise<void> {
    return (await this.#loaded()).remove(name);
  }

  async close(): Promise<void> {
    await (await this.#loading)?.close();
  }

  #loaded(): Promise<AppSchedules> {
    this.#loading ??= import("./schedules.ts").then(({ AppSchedules }) => new AppSchedules(this.#host));
    return this.#loading;
  }
}
