import { daemon } from "./daemon.ts";
import type { Section, SettingRow } from "./row.ts";
import { tls } from "./structures.ts";
import { anyText, integer, oneOf, record, seconds, word } from "./values.ts";

const beatSchedule: SettingRow<Readonly<Record<string, object>>> = {
  old: "CELERYBEAT_SCHEDULE",
  kind: "M",
  type: { ...record, read: (value) => record.read(value) as Readonly<Record<string, object>> | undefined },
  default: {},
  text: "Periodic tasks under their names: `{ task, schedule, args, kwargs, options }`.",
  effective: false,
};

export const beat: Section<`beat${string}`> = {
  beatSchedule,
  beatScheduler: {
    old: "CELERYBEAT_SCHEDULER",
    kind: "M",
    type: word,
    default: "celery.beat:PersistentScheduler",
    text: "Where schedules are kept. The names of Celery's, django-celery-beat's and RedBeat's schedulers are understood.",
    effective: false,
  },
  beatScheduleFilename: {
    old: "CELERYBEAT_SCHEDULE_FILENAME",
    kind: "M",
    type: word,
    default: "celerybeat-schedule",
    text: "File of the file scheduler.",
    effective: false,
  },
  beatMaxLoopInterval: {
    old: "CELERYBEAT_MAX_LOOP_INTERVAL",
    kind: "M",
    type: seconds(),
    unit: "seconds",
    default: 0,
    text: "Longest sleep between two looks at the schedule. 0: the scheduler's own.",
    effective: false,
  },
  beatSyncEvery: {
    old: "CELERYBEAT_SYNC_EVERY",
    kind: "M",
    type: integer({ min: 0 }),
    unit: "tasks",
    default: 0,
    text: "Save the schedule after this many sent tasks. 0: by time only.",
    effective: false,
  },
  beatCronStartingDeadline: {
    old: "CELERYBEAT_CRON_STARTING_DEADLINE",
    kind: "M",
    type: seconds(),
    unit: "seconds",
    default: null,
    text: "A crontab run that was missed by more than this is skipped.",
    effective: false,
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
    effective: false,
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
    text: "RedBeat: TLS to its Redis.",
    effective: false,
  },
  redbeatKeyPrefix: {
    old: null,
    kind: "U",
    type: anyText,
    default: "redbeat:",
    text: "RedBeat: begins every key.",
    effective: false,
  },
  redbeatLockKey: {
    old: null,
    kind: "U",
    type: anyText,
    default: "redbeat::lock",
    nullable: true,
    text: "RedBeat: key of the lock that lets one beat run. null: no lock.",
    effective: false,
  },
  redbeatLockTimeout: {
    old: null,
    kind: "U",
    type: seconds(),
    unit: "seconds",
    default: null,
    text: "RedBeat: the lock ends this long after its holder fell silent.",
    effective: false,
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
