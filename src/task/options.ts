/** A task's options: checked where it is defined, completed by settings and `taskAnnotations` once the app is in use. */
import { didYouMean } from "../base/nearest.ts";
import { ImproperlyConfigured } from "../errors.ts";
import type { ResolvedTaskOptions } from "./definition.ts";
import type { StandardSchema } from "./schema-types.ts";
import type { TaskOptions } from "./task-types.ts";
import { uniqueFlaw } from "./unique-options.ts";

/** Options of any task, whatever its schemas. */
export type AnyTaskOptions = Omit<TaskOptions, "bind" | "input" | "output"> & {
  readonly bind?: boolean | undefined;
  readonly input?: StandardSchema | undefined;
  readonly output?: StandardSchema | undefined;
};

/** The settings that give options their defaults. A part of the app's settings. */
export interface TaskDefaults {
  readonly taskAcksLate: boolean | null;
  readonly taskAcksOnFailureOrTimeout: boolean | null;
  readonly taskAcksOnFailure: boolean | null;
  readonly taskAcksOnTimeout: boolean | null;
  readonly taskRejectOnWorkerLost: boolean | null;
  readonly taskIgnoreResult: boolean | null;
  readonly taskStoreErrorsEvenIfIgnored: boolean | null;
  readonly taskTrackStarted: boolean | null;
  readonly taskDefaultRateLimit: string | number | null;
  readonly taskTimeLimit: number | null;
  readonly taskSoftTimeLimit: number | null;
  readonly taskDefaultPriority: number | null;
  readonly taskSerializer: string | null;
  readonly taskCompression: string | null;
  readonly taskAnnotations: Readonly<Record<string, object>> | null;
}

type Check = (value: unknown) => string | null;
const flag: Check = (value) => (typeof value === "boolean" ? null : "true or false");
const text: Check = (value) =>
  typeof value === "string" && value !== "" ? null : "a text that is not empty";
const anyText: Check = (value) => (typeof value === "string" ? null : "a text");
const seconds: Check = (value) =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? null : "a number of seconds, 0 or more";
const count: Check = (value) =>
  value === null || (Number.isSafeInteger(value) && (value as number) >= 0)
    ? null
    : "a whole number, 0 or more, or null for no end";
const fn: Check = (value) => (typeof value === "function" ? null : "a function");
const classes: Check = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === "function") ? null : "a list of error classes";
const rate: Check = (value) => {
  if (value === null || (typeof value === "number" && Number.isFinite(value) && value >= 0)) return null;
  const form = 'a number for each second, or text such as "10/s", "100/m" or "1000/h"';
  return typeof value === "string" && /^\d+(\.\d+)?(\/[smh])?$/u.test(value) ? null : form;
};
const globalRate: Check = (value) => {
  if (typeof value !== "object" || value === null) return rate(value);
  const { rate: given, burst, key, ...rest } = value as Readonly<Record<string, unknown>>;
  const isBurst = burst === undefined || (Number.isSafeInteger(burst) && (burst as number) >= 1);
  const isKnown = Object.keys(rest).length === 0 && (key === undefined || typeof key === "function");
  const wrong = given === null || given === undefined ? "a rate" : rate(given);
  if (wrong === null && isBurst && isKnown) return null;
  return 'a rate such as "100/m", or { rate, key, burst } with a function and a whole number of 1 or more';
};
const isLimit = (limit: unknown): boolean => Number.isSafeInteger(limit) && (limit as number) >= 1;
const concurrency: Check = (value) => {
  if (value === null || isLimit(value)) return null;
  const { limit, key, ...rest } = Object(value) as Readonly<Record<string, unknown>>;
  const isKnown = Object.keys(rest).length === 0 && (key === undefined || typeof key === "function");
  return isLimit(limit) && isKnown ? null : "a whole number of 1 or more, or { limit, key } with a function";
};
const priority: Check = (value) => (Number.isSafeInteger(value) ? null : "a whole number, 0 to 9");
const schema: Check = (value) =>
  typeof value === "object" || typeof value === "function"
    ? value !== null && "~standard" in value
      ? null
      : "a Standard Schema (zod, valibot, arktype …)"
    : "a Standard Schema (zod, valibot, arktype …)";
const names: Check = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === "string") ? null : "a list of parameter names";
const expires: Check = (value) =>
  typeof value === "number"
    ? seconds(value)
    : typeof value === "string" || (typeof value === "object" && value !== null)
      ? null
      : "seconds, or a point in time";
const backoff: Check = (value) =>
  typeof value === "boolean"
    ? null
    : seconds(value) === null
      ? null
      : "true, false or the first delay in seconds";

/** Every option and what it accepts. */
const CHECKS: { readonly [K in keyof TaskOptions]-?: Check } = {
  bind: flag,
  input: schema,
  output: schema,
  params: names,
  maxRetries: count,
  defaultRetryDelay: seconds,
  autoretryFor: classes,
  dontAutoretryFor: classes,
  retryBackoff: backoff,
  retryBackoffMax: seconds,
  retryJitter: flag,
  throws: classes,
  acksLate: flag,
  acksOnFailureOrTimeout: flag,
  rejectOnWorkerLost: flag,
  ignoreResult: flag,
  storeErrorsEvenIfIgnored: flag,
  trackStarted: flag,
  sendEvents: flag,
  storeLogs: flag,
  rateLimit: rate,
  globalRateLimit: globalRate,
  maxConcurrency: concurrency,
  unique: uniqueFlaw,
  timeLimit: seconds,
  softTimeLimit: seconds,
  expires,
  priority,
  queue: text,
  exchange: anyText,
  routingKey: anyText,
  serializer: text,
  compression: text,
  description: anyText,
  beforeStart: fn,
  onSuccess: fn,
  onFailure: fn,
  onRetry: fn,
  afterReturn: fn,
};
const NAMES = Object.keys(CHECKS);

function invalid(message: string): ImproperlyConfigured {
  return new ImproperlyConfigured(message, { code: "PET_TASK_INVALID" });
}

/**
 * Checks what TypeScript cannot: JavaScript callers, annotations from settings.
 *
 * @param where - `task "shop.add"`, `taskAnnotations["*"]`
 * @throws ImproperlyConfigured `PET_TASK_INVALID`
 */
export function checkTaskOptions(where: string, options: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(CHECKS, name)) {
      throw invalid(`${where}: there is no option ${JSON.stringify(name)}${didYouMean(name, NAMES)}`);
    }
    if (value === undefined) continue;
    const expected = CHECKS[name as keyof TaskOptions](value);
    if (expected !== null) throw invalid(`${where}: option ${name} must be ${expected}`);
  }
}

/** A name travels as text and is shown in logs: control characters and surrounding spaces are refused. */
export function checkTaskName(name: unknown): asserts name is string {
  if (typeof name !== "string" || name === "" || name.length > 255)
    throw invalid("a task needs a name: text of 1 to 255 characters");
  if (/[\p{Cc}\p{Cs}]|^\s|\s$/u.test(name))
    throw invalid(`task name ${JSON.stringify(name)} has control characters, or spaces around it`);
}

/**
 * A task's own options under its annotations: those of `"*"`, then those of its name. Annotations win, as in Celery.
 * Counterpart: `celery/app/annotations.py`.
 */
export function annotate(name: string, options: AnyTaskOptions, defaults: TaskDefaults): AnyTaskOptions {
  const annotations = defaults.taskAnnotations;
  if (annotations === null) return options;
  let merged = options;
  for (const key of ["*", name]) {
    const given = Object.hasOwn(annotations, key) ? annotations[key] : undefined;
    if (given === undefined) continue;
    checkTaskOptions(`taskAnnotations[${JSON.stringify(key)}]`, given as Readonly<Record<string, unknown>>);
    merged = { ...merged, ...given };
  }
  return merged;
}

type Limits = Pick<ResolvedTaskOptions, "globalRateLimit" | "maxConcurrency">;

function resolveLimits({ globalRateLimit: rated, maxConcurrency: at }: AnyTaskOptions): Limits {
  const many = typeof at === "number" ? { limit: at } : (at ?? null);
  const starts = typeof rated === "string" || typeof rated === "number" ? { rate: rated } : (rated ?? null);
  return {
    globalRateLimit: starts && { rate: starts.rate, burst: starts.burst ?? 1, key: starts.key ?? null },
    maxConcurrency: many && { limit: many.limit, key: many.key ?? null },
  };
}

/** Options with everything filled in. `options` is annotated already. */
export function resolveTaskOptions(options: AnyTaskOptions, defaults: TaskDefaults): ResolvedTaskOptions {
  const hooks = {
    beforeStart: options.beforeStart,
    onSuccess: options.onSuccess,
    onFailure: options.onFailure,
    onRetry: options.onRetry,
    afterReturn: options.afterReturn,
  };
  const acksOnBoth = defaults.taskAcksOnFailureOrTimeout ?? true;
  return {
    acksLate: options.acksLate ?? defaults.taskAcksLate ?? false,
    acksOnFailure: options.acksOnFailureOrTimeout ?? defaults.taskAcksOnFailure ?? acksOnBoth,
    acksOnTimeout: options.acksOnFailureOrTimeout ?? defaults.taskAcksOnTimeout ?? acksOnBoth,
    rejectOnWorkerLost: options.rejectOnWorkerLost ?? defaults.taskRejectOnWorkerLost ?? false,
    ignoreResult: options.ignoreResult ?? defaults.taskIgnoreResult ?? false,
    storeErrorsEvenIfIgnored:
      options.storeErrorsEvenIfIgnored ?? defaults.taskStoreErrorsEvenIfIgnored ?? false,
    trackStarted: options.trackStarted ?? defaults.taskTrackStarted ?? false,
    sendEvents: options.sendEvents ?? true,
    storeLogs: options.storeLogs ?? false,
    rateLimit: options.rateLimit === undefined ? defaults.taskDefaultRateLimit : options.rateLimit,
    ...resolveLimits(options),
    timeLimit: options.timeLimit ?? defaults.taskTimeLimit,
    softTimeLimit: options.softTimeLimit ?? defaults.taskSoftTimeLimit,
    maxRetries: options.maxRetries === undefined ? 3 : options.maxRetries,
    defaultRetryDelay: options.defaultRetryDelay ?? 180,
    autoretryFor: options.autoretryFor ?? [],
    dontAutoretryFor: options.dontAutoretryFor ?? [],
    retryBackoff: options.retryBackoff === true ? 1 : options.retryBackoff || 0,
    retryBackoffMax: options.retryBackoffMax ?? 600,
    retryJitter: options.retryJitter ?? true,
    throws: options.throws ?? [],
    expires: options.expires ?? null,
    priority: options.priority ?? defaults.taskDefaultPriority,
    queue: options.queue ?? null,
    exchange: options.exchange ?? null,
    routingKey: options.routingKey ?? null,
    serializer: options.serializer ?? defaults.taskSerializer ?? "json",
    compression: options.compression ?? defaults.taskCompression,
    hooks,
    hasHooks: Object.values(hooks).some((hook) => hook !== undefined),
  };
}
