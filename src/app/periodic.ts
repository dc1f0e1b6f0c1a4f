/** Periodic tasks of an app: the setting `beatSchedule`, and what `addPeriodicTask` adds. Python: `Celery.add_periodic_task`. */

import { camelKeys } from "../base/case.ts";
import type { Logger } from "../base/logger.ts";
import type { AnySignature } from "../canvas/canvas-types.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { repr } from "../protocol/python-repr.ts";
import { crontab, isCrontab } from "../schedules/crontab.ts";
import { type EntryOptions, type EntryPolicy, POLICY_KEYS, readPolicy } from "../schedules/policy.ts";
import { readSchedule } from "../schedules/read.ts";
import type { Schedule } from "../schedules/schedule.ts";
import type { SendOptions } from "../task/send-types.ts";
import type { Seconds } from "../task/sendable-types.ts";
import { isRecord } from "./settings/values.ts";

/** An entry of `beatSchedule`. */
export interface BeatEntry extends EntryOptions {
  /** The task, or its name. */
  readonly task: string | { readonly name: string };
  readonly schedule: Schedule | Seconds;
  /** A function among them is called at every run, and what it gives is sent. Python: `BeatLazyFunc`. */
  readonly args?: readonly unknown[] | undefined;
  /** As `args`. */
  readonly kwargs?: Readonly<Record<string, unknown>> | undefined;
  readonly options?: SendOptions | undefined;
  /** Of an interval given in seconds: see `schedule`. */
  readonly relative?: boolean | undefined;
  /** false: it does not run. Default: true. */
  readonly enabled?: boolean | undefined;
}

/** An entry, complete. */
export interface PeriodicTask {
  readonly name: string;
  readonly task: string;
  readonly schedule: Schedule;
  readonly policy: EntryPolicy;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: SendOptions;
  /** What is sent instead of task, arguments and options; null: those. */
  readonly signature: AnySignature | null;
}

const KEYS = ["task", "schedule", "args", "kwargs", "options", "relative", "enabled", ...POLICY_KEYS];

/**
 * An entry as the settings have it; what comes from JSON has `{"type": "crontab", "minute": …}` as its schedule.
 *
 * @throws ImproperlyConfigured when it cannot be read
 */
export function readBeatEntry(name: string, entry: unknown): BeatEntry {
  const where = `entry ${JSON.stringify(name)}`;
  if (!isRecord(entry)) throw new ImproperlyConfigured(`${where} is not an object`);
  const given = camelKeys(entry);
  const strange = Object.keys(given).find((key) => !KEYS.includes(key));
  if (strange !== undefined) {
    throw new ImproperlyConfigured(`${where} has ${JSON.stringify(strange)}: it takes ${KEYS.join(", ")}`);
  }
  const { task, args, kwargs, options, relative, enabled, schedule, ...more } = given;
  const taskName = typeof task === "string" ? task : (task as { name?: unknown } | null | undefined)?.name;
  if (typeof taskName !== "string" || taskName === "") {
    throw new ImproperlyConfigured(`${where} has no task: give its name, or the task itself`);
  }
  if (args !== undefined && !Array.isArray(args))
    throw new ImproperlyConfigured(`${where}: args is no array`);
  for (const [key, one] of Object.entries({ kwargs, options })) {
    if (one !== undefined && !isRecord(one)) throw new ImproperlyConfigured(`${where}: ${key} is no object`);
  }
  readPolicy(more, where);
  return Object.freeze({
    ...more,
    task: taskName,
    schedule: scheduleOf(schedule, { where, relative: relative === true }),
    args: (args ?? []) as readonly unknown[],
    kwargs: (kwargs ?? {}) as Readonly<Record<string, unknown>>,
    options: camelKeys((options ?? {}) as Readonly<Record<string, unknown>>),
    enabled: enabled !== false,
  });
}

/** What `readBeatEntry` gave, complete. */
export function periodicTask(name: string, entry: BeatEntry): PeriodicTask {
  return {
    name,
    task: entry.task as string,
    schedule: entry.schedule as Schedule,
    policy: readPolicy(entry, `entry ${JSON.stringify(name)}`),
    args: entry.args ?? [],
    kwargs: entry.kwargs ?? {},
    options: entry.options ?? {},
    signature: null,
  };
}

/** What it was made of, `enabled` aside. */
export function entryOf({ task, schedule, policy, args, kwargs, options }: PeriodicTask): BeatEntry {
  const { startTimeMs, endTimeMs, jitterMs, ...more } = policy;
  const plain = schedule.type === "interval" && schedule.nowfun === null;
  return {
    ...more,
    task,
    // In seconds, which `relative` is of.
    schedule: plain ? schedule.every : schedule,
    relative: plain ? schedule.relative : undefined,
    args,
    kwargs,
    options,
    startTime: startTimeMs === null ? undefined : new Date(startTimeMs),
    endTime: endTimeMs === null ? undefined : new Date(endTimeMs),
    jitter: jitterMs / 1000,
  };
}

function scheduleOf(given: unknown, { where, relative }: { where: string; relative: boolean }): Schedule {
  if (typeof given !== "number" && !isRecord(given)) {
    throw new ImproperlyConfigured(
      `${where} has no schedule: give seconds, schedule(…), crontab(…), cron(…), solar(…) or clocked(…)`,
    );
  }
  if (typeof given === "object" && isCrontab(given)) return given;
  try {
    return readSchedule(typeof given === "number" ? given : camelKeys(given), relative);
  } catch (error) {
    throw new ImproperlyConfigured(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

/** Options of `addPeriodicTask`: those of the send and of the entry, and a name of your own. */
export type PeriodicOptions = SendOptions &
  EntryOptions & {
    /** Default: the call as Python writes it, `shop.add(2, 3)`. */
    readonly name?: string | undefined;
  };

const CLEANUP_EXPIRES = 12 * 3600;

/** What beat sends where results do not go by themselves. Python: `Scheduler.install_default_entries`. */
export const CLEANUP: Readonly<Record<string, BeatEntry>> = {
  "celery.backend_cleanup": {
    task: "celery.backend_cleanup",
    schedule: crontab({ minute: 0, hour: 4 }),
    options: { expires: CLEANUP_EXPIRES },
  },
};

/** What `addPeriodicTask` was given. */
export class PeriodicTasks {
  readonly #added = new Map<string, PeriodicTask>();
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(when: Schedule | Seconds, signature: AnySignature, { name, ...options }: PeriodicOptions): string {
    const key = name ?? callText(signature);
    if (name === undefined && this.#added.has(key)) {
      this.#logger.warn(
        { entry: key },
        "this periodic task takes the place of one of the same call: give each a name to keep both",
      );
    }
    const where = `addPeriodicTask ${JSON.stringify(key)}`;
    const { oneOff, startTime, endTime, jitter, catchUp, overlap, ...send } = options;
    this.#added.set(key, {
      name: key,
      task: signature.task,
      schedule: scheduleOf(when, { where, relative: false }),
      policy: readPolicy({ oneOff, startTime, endTime, jitter, catchUp, overlap }, where),
      args: signature.args,
      kwargs: signature.kwargs,
      options: send,
      signature,
    });
    return key;
  }

  /** Those of the settings too, but for disabled ones. What was added goes before one of the same name. */
  all(settings: Readonly<Record<string, BeatEntry>> | null): readonly PeriodicTask[] {
    const all = new Map<string, PeriodicTask>();
    for (const [name, entry] of Object.entries(settings ?? {})) {
      if (entry.enabled === false) continue;
      all.set(name, periodicTask(name, entry));
    }
    for (const [name, one] of this.#added) all.set(name, one);
    return [...all.values()];
  }
}

/** The call as Python shows a signature. */
function callText({ task, args, kwargs }: AnySignature): string {
  const named = Object.entries(kwargs).map(([key, value]) => `${key}=${repr(value)}`);
  return `${task}(${[...args.map((one) => repr(one)), ...named].join(", ")})`;
}

function valueOf(one: unknown): unknown {
  return typeof one === "function" ? (one as () => unknown)() : one;
}

/** Arguments of one run: functions are called. */
export function evaluated(task: PeriodicTask): Pick<PeriodicTask, "args" | "kwargs"> {
  const kwargs = Object.entries(task.kwargs).map(([key, one]) => [key, valueOf(one)]);
  return { args: task.args.map(valueOf), kwargs: Object.fromEntries(kwargs) as Record<string, unknown> };
}
