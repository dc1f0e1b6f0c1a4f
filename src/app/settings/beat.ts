import { type BeatEntry, readBeatEntry } from "../periodic.ts";
import { daemon } from "./daemon.ts";
import type { Section } from "./row.ts";
import { tls } from "./structures.ts";
import {
  anyText,
  BadValue,
  integer,
  isRecord,
  oneOf,
  record,
  seconds,
  type ValueType,
  word,
} from "./values.ts";

const beatEntries: ValueType<Readonly<Record<string, BeatEntry>>> = {
  ...record,
  accepts: "an object of entries ({ task, schedule, args, kwargs, options }) under their names",
  read(value) {
    if (!isRecord(value)) return undefined;
    try {
      return Object.freeze(
        Object.fromEntries(Object.entries(value).map(([name, one]) => [name, readBeatEntry(name, one)])),
      );
    } catch (error) {
      throw new BadValue((error as Error).message);
    }
  },
};

export const beat: Section<`beat${string}`> = {
  beatSchedule: {
    old: "CELERYBEAT_SCHEDULE",
    kind: "M",
    type: beatEntries,
    default: {},
    text: "Periodic tasks under their names: `{ task, schedule, args, kwargs, options }`.",
    effective: true,
  },
  beatScheduler: {
    old: "CELERYBEAT_SCHEDULER",
    kind: "M",
    type: word,
    default: "celery.beat:PersistentScheduler",
    text: "Where it is kept what has run: `celery.beat:PersistentScheduler` in a file, `redbeat.RedBeatScheduler` in Redis with the entries themselves, `sqlite` in the SQLite file of the broker, `celery.beat:Scheduler` nowhere. That of django-celery-beat is refused by name.",
    effective: true,
  },
  beatScheduleFilename: {
    old: "CELERYBEAT_SCHEDULE_FILENAME",
    kind: "M",
    type: word,
    default: "celerybeat-schedule",
    text: "File of the file scheduler; of the scheduler `sqlite` a URL `sqlite:///path/to/file.db`.",
    effective: true,
  },
  beatMaxLoopInterval: {
    old: "CELERYBEAT_MAX_LOOP_INTERVAL",
    kind: "M",
    type: seconds(),
    unit: "seconds",
    default: 0,
    text: "Longest sleep between two looks at the schedule. 0: the scheduler's own.",
    effective: true,
  },
  beatSyncEvery: {
    old: "CELERYBEAT_SYNC_EVERY",
    kind: "M",
    type: integer({ min: 0 }),
    unit: "tasks",
    default: 0,
    text: "Save the schedule after this many sent tasks. 0: within a second.",
    effective: true,
  },
  beatCronStartingDeadline: {
    old: "CELERYBEAT_CRON_STARTING_DEADLINE",
    kind: "M",
    type: seconds(),
    unit: "seconds",
    default: null,
    text: "A crontab run that was missed by more than this is skipped.",
    effective: true,
  },
  ...daemon("beat"),
};

export const redbeat: Section<`redbeat${string}`> = {
  redbeatRedisUrl: {
    old: null,
    kind: "U",
    type: anyText,
    default: null,
    secret: true,
    text: "RedBeat: URL of the Redis that holds the schedules. Default: brokerUrl.",
    effective: true,
  },
  redbeatRedisOptions: {
    old: null,
    kind: "U",
    type: record,
    default: null,
    secret: true,
    text: "RedBeat: options of its Redis connection.",
    effective: false,
  },
  redbeatRedisUseSsl: {
    old: null,
    kind: "U",
    type: tls,
    default: null,
    secret: true,
    text: "RedBeat: TLS to its Redis. Default: brokerUseSsl, where redbeatRedisUrl is not set.",
    effective: true,
  },
  redbeatKeyPrefix: {
    old: null,
    kind: "U",
    type: anyText,
    default: "redbeat:",
    text: "RedBeat: begins every key.",
    effective: true,
  },
  redbeatLockKey: {
    old: null,
    kind: "U",
    type: anyText,
    default: null,
    nullable: true,
    text: "RedBeat: key of the lock that lets one beat run. Default, also for null: `<redbeatKeyPrefix>:lock`.",
    effective: true,
  },
  redbeatLockTimeout: {
    old: null,
    kind: "U",
    type: seconds(),
    unit: "seconds",
    default: null,
    text: "RedBeat: the lock ends this long after its holder fell silent. Default: 2 seconds.",
    effective: true,
  },
  redbeatKeyExpiryCheck: {
    old: null,
    kind: "U",
    type: oneOf(["ignore", "warn", "error", "raise"]),
    default: null,
    text: "RedBeat: what to do when the server may evict its keys.",
    effective: false,
  },
};
