/**
 * `broker_transport_options` of the Redis transport: kombu's names and ours, snake_case or camelCase.
 * Durations are in seconds, as everywhere in Celery's settings; inside they are milliseconds.
 */
import { ImproperlyConfigured } from "../../errors.ts";
import { DEFAULT_LOSS_POLICY, type LossPolicy } from "../losses.ts";

export type QueueOrderStrategy = "round_robin" | "sorted" | "priority";
export type WakeMode = "auto" | "tracking" | "tracking-redirect" | "poll";

/** The options with their defaults filled in. */
export interface RedisTransportSettings extends LossPolicy {
  /** A hold ends this long after its fetch or last renewal, server time. */
  readonly leaseMs: number;
  /** Derived: min(lease, visibility timeout) / 3, at least 1 s (less only for leases that tests shorten). */
  readonly beatMs: number;
  /** Messages that other kinds of worker hold are put back after this. Python's `visibility_timeout`. */
  readonly visibilityTimeoutMs: number;
  readonly sweepIntervalMs: number;
  /** No sweep this long after every (re)connect, so that live holders renew first. */
  readonly sweepGraceMs: number;
  /** The beat thread stops renewing when the event loop made no progress for this long; 0 = never. */
  readonly workerStallLimitMs: number;
  /** Messages of one fetch at most. */
  readonly fetchBatch: number;
  readonly fetchBytes: number;
  /** A message whose time comes sooner than this waits in memory under its lease instead of in the broker. */
  readonly parkAfterMs: number;
  /** That many wait in memory at most. */
  readonly holdMax: number;
  readonly wake: WakeMode;
  /** Safety poll once wake-up has proved itself. */
  readonly pollIntervalMs: number;
  /** Longest delay of a worker that lost the last races for a message. */
  readonly wakeSpreadMs: number;
  readonly commandDeadlineMs: number;
  readonly dialDeadlineMs: number;
  readonly backoffCapMs: number;
  /** Tasks of one FINISH at most. */
  readonly finishBatch: number;
  readonly finishBytes: number;
  readonly unackedKey: string;
  readonly unackedIndexKey: string;
  readonly sep: string;
  /** Ascending. */
  readonly prioritySteps: readonly number[];
  readonly globalKeyprefix: string;
  readonly queueOrderStrategy: QueueOrderStrategy;
  /** true: `/{db}.`; false: nothing; text: that. */
  readonly fanoutPrefix: boolean | string;
  readonly fanoutPatterns: boolean;
  /** Takes what no binding of an exchange matches; null drops it, as kombu. */
  readonly deadletterQueue: string | null;
  readonly clientName: string | null;
}

/** kombu's and redis-py's options without a meaning here: accepted, so that a shared configuration works. */
const WITHOUT_EFFECT: readonly string[] = [
  "unacked_mutex_key",
  "unacked_mutex_expire",
  "unacked_restore_limit",
  "ack_emulation",
  "socket_timeout",
  "socket_connect_timeout",
  "socket_keepalive",
  "socket_keepalive_options",
  "max_connections",
  "health_check_interval",
  "retry_on_timeout",
  "polling_interval",
  "max_retries",
  "interval_start",
  "interval_step",
  "interval_max",
  "errback",
  "connect_retries_timeout",
  "retry_policy",
  "master_name",
  "min_other_sentinels",
  "sentinel_kwargs",
  "credential_provider",
];

type Reader = (value: unknown, fail: (expected: string) => never) => unknown;

const seconds =
  (minimum: number): Reader =>
  (value, fail) => {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isFinite(number) || number < minimum)
      return fail(`a number of seconds, at least ${minimum}`);
    return number * 1000;
  };

const count =
  (minimum: number, maximum: number): Reader =>
  (value, fail) => {
    const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isInteger(number) || number < minimum || number > maximum)
      return fail(`a whole number from ${minimum} to ${maximum}`);
    return number;
  };

const text: Reader = (value, fail) => (typeof value === "string" ? value : fail("a text"));
const name: Reader = (value, fail) =>
  typeof value === "string" && value !== "" ? value : fail("a text that is not empty");
const nullableName: Reader = (value, fail) => (value === null ? null : name(value, fail));
const flag: Reader = (value, fail) => (typeof value === "boolean" ? value : fail("true or false"));
const oneOf =
  (...allowed: readonly string[]): Reader =>
  (value, fail) =>
    typeof value === "string" && allowed.includes(value) ? value : fail(`one of ${allowed.join(", ")}`);
const flagOrText: Reader = (value, fail) =>
  typeof value === "boolean" || typeof value === "string" ? value : fail("true, false or a text");
const steps: Reader = (value, fail) => {
  if (!Array.isArray(value) || value.length === 0 || !value.every((one) => Number.isInteger(one) && one >= 0))
    return fail("a list of whole numbers, such as [0, 3, 6, 9]");
  return [...new Set(value as number[])].sort((a, b) => a - b);
};
const base64: Reader = (value, fail) => (value === "base64" ? value : fail('"base64"'));

/** Option -> [field, reader]. The order is that of the documentation. */
const OPTIONS: Readonly<Record<string, readonly [keyof RedisTransportSettings | null, Reader]>> = {
  lease: ["leaseMs", seconds(5)],
  visibility_timeout: ["visibilityTimeoutMs", seconds(1)],
  sweep_interval: ["sweepIntervalMs", seconds(0.1)],
  sweep_grace: ["sweepGraceMs", seconds(0)],
  worker_stall_limit: ["workerStallLimitMs", seconds(0)],
  fetch_batch: ["fetchBatch", count(1, 64)],
  fetch_bytes: ["fetchBytes", count(1024, 64 * 1024 * 1024)],
  park_after: ["parkAfterMs", seconds(0)],
  hold_max: ["holdMax", count(0, 1_000_000)],
  wake: ["wake", oneOf("auto", "tracking", "tracking-redirect", "poll")],
  poll_interval: ["pollIntervalMs", seconds(0.05)],
  wake_spread: ["wakeSpreadMs", seconds(0)],
  command_deadline: ["commandDeadlineMs", seconds(0.1)],
  dial_deadline: ["dialDeadlineMs", seconds(0.1)],
  backoff_cap: ["backoffCapMs", seconds(0)],
  finish_batch: ["finishBatch", count(1, 1000)],
  finish_bytes: ["finishBytes", count(1024, 64 * 1024 * 1024)],
  delivery_limit: ["deliveryLimit", count(1, 1_000_000)],
  redelivery_backoff: ["redeliveryBackoffMs", seconds(0)],
  redelivery_backoff_max: ["redeliveryBackoffMaxMs", seconds(0)],
  unacked_key: ["unackedKey", name],
  unacked_index_key: ["unackedIndexKey", name],
  sep: ["sep", name],
  priority_steps: ["prioritySteps", steps],
  global_keyprefix: ["globalKeyprefix", text],
  queue_order_strategy: ["queueOrderStrategy", oneOf("round_robin", "sorted", "priority")],
  fanout_prefix: ["fanoutPrefix", flagOrText],
  fanout_patterns: ["fanoutPatterns", flag],
  deadletter_queue: ["deadletterQueue", nullableName],
  client_name: ["clientName", nullableName],
  body_encoding: [null, base64],
};

/** Every name that is accepted, snake_case; for messages and the documentation. */
export const OPTION_NAMES: readonly string[] = [...Object.keys(OPTIONS), ...WITHOUT_EFFECT];

const DEFAULTS: RedisTransportSettings = {
  leaseMs: 30_000,
  beatMs: 10_000,
  visibilityTimeoutMs: 3_600_000,
  sweepIntervalMs: 1500,
  sweepGraceMs: 10_000,
  workerStallLimitMs: 600_000,
  fetchBatch: 64,
  fetchBytes: 4 * 1024 * 1024,
  parkAfterMs: 2000,
  holdMax: 1000,
  wake: "auto",
  pollIntervalMs: 2000,
  wakeSpreadMs: 20,
  commandDeadlineMs: 5000,
  dialDeadlineMs: 5000,
  backoffCapMs: 2000,
  finishBatch: 500,
  finishBytes: 1024 * 1024,
  ...DEFAULT_LOSS_POLICY,
  unackedKey: "unacked",
  unackedIndexKey: "unacked_index",
  sep: "\x06\x16",
  prioritySteps: [0, 3, 6, 9],
  globalKeyprefix: "",
  queueOrderStrategy: "round_robin",
  fanoutPrefix: true,
  fanoutPatterns: true,
  deadletterQueue: null,
  clientName: null,
};

/**
 * Reads the options.
 *
 * @param overrides - settings that no user can give, for tests (shorter leases)
 * @throws ImproperlyConfigured on an unknown name (`PET_CONFIG_UNKNOWN`, with the nearest) or a wrong value
 */
export function readOptions(
  options: Readonly<Record<string, unknown>>,
  overrides: Partial<RedisTransportSettings> = {},
): RedisTransportSettings {
  const given: Partial<Record<keyof RedisTransportSettings, unknown>> = {};
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue;
    const snake = snakeCase(key);
    if (WITHOUT_EFFECT.includes(snake)) continue;
    const option = Object.hasOwn(OPTIONS, snake) ? OPTIONS[snake] : undefined;
    if (option === undefined) throw unknownOption(key, snake);
    const [field, reader] = option;
    const read = reader(value, (expected) => {
      throw new ImproperlyConfigured(
        `broker_transport_options ${JSON.stringify(key)} is ${show(value)}; expected ${expected}`,
      );
    });
    if (field !== null) given[field] = read;
  }
  const merged = { ...DEFAULTS, ...(given as Partial<RedisTransportSettings>), ...overrides };
  const graceMs = given.sweepGraceMs ?? overrides.sweepGraceMs ?? Math.min(10_000, 2 * merged.leaseMs);
  const beatMs = overrides.beatMs ?? Math.min(merged.leaseMs, merged.visibilityTimeoutMs) / 3;
  const settings = { ...merged, sweepGraceMs: graceMs as number, beatMs };
  // A sweeper that is back before a holder has had its chance to renew would run tasks twice.
  return settings.backoffCapMs * 2 > settings.sweepGraceMs
    ? { ...settings, backoffCapMs: settings.sweepGraceMs / 2 }
    : settings;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function unknownOption(key: string, snake: string): ImproperlyConfigured {
  let nearest = "";
  let best = Number.POSITIVE_INFINITY;
  for (const candidate of OPTION_NAMES) {
    const distance = editDistance(snake, candidate);
    if (distance < best) {
      best = distance;
      nearest = candidate;
    }
  }
  return new ImproperlyConfigured(
    `broker_transport_options has no option ${JSON.stringify(key)}; the nearest is ${JSON.stringify(nearest)}`,
    { code: "PET_CONFIG_UNKNOWN" },
  );
}

/** Levenshtein distance; names are short. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const above = row[j] ?? 0;
      const diagonal = row[j - 1] ?? 0;
      const left = next[j - 1] ?? 0;
      next.push(Math.min(above + 1, left + 1, diagonal + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
