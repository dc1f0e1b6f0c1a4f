/** From a scheduler's name, Celery's or ours, to where it keeps what has run. */
import type { AppInternals } from "../app/internals.ts";
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured, PetioleError } from "../errors.ts";
import { FileScheduleStore } from "../schedules/stores/file.ts";
import { MemoryScheduleStore } from "../schedules/stores/memory.ts";
import type { ScheduleStore } from "../schedules/stores/store.ts";

/** Celery's names, with `.` for `:`. */
const KINDS: Readonly<Record<string, "file" | "memory" | "later">> = {
  "celery.beat.PersistentScheduler": "file",
  file: "file",
  "celery.beat.Scheduler": "memory",
  memory: "memory",
  "django_celery_beat.schedulers.DatabaseScheduler": "later",
  django: "later",
  "redbeat.RedBeatScheduler": "later",
  "redbeat.schedulers.RedBeatScheduler": "later",
};

export interface StoreWish {
  readonly scheduler: string;
  readonly file: string;
}

/** @throws PetioleError for a scheduler that is not known, or not built */
export function openScheduleStore(
  { scheduler, file }: StoreWish,
  { app, logger }: { readonly app: AppInternals; readonly logger: Logger },
): ScheduleStore {
  const name = scheduler.replace(":", ".");
  const kind = Object.hasOwn(KINDS, name) ? KINDS[name] : undefined;
  if (kind === "file") return new FileScheduleStore({ path: file, clock: app.clock, logger });
  if (kind === "memory") return new MemoryScheduleStore();
  if (kind === "later") {
    throw new PetioleError(
      "PET_UNSUPPORTED",
      `the scheduler ${scheduler} is not served by this version: use celery.beat:PersistentScheduler, which keeps a file`,
    );
  }
  throw new ImproperlyConfigured(
    `there is no scheduler ${JSON.stringify(scheduler)}: use celery.beat:PersistentScheduler (a file) or celery.beat:Scheduler (memory)`,
  );
}
