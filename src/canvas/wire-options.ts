/**
 * Options of a send, by our names and by Celery's. Wire names are those of a signature's `options` (`docs/protocol.md`).
 * What our public options have no name for (`retries`, `chain`, `chord`, stamps …) is kept apart as {@link WireExtra}.
 */
import { DecodeError } from "../errors.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { RetryPolicy, SendOptions } from "../task/send-types.ts";
import type { Instant } from "../task/sendable-types.ts";

/** A callback: a signature, or its JSON form. */
export type Linked = SignatureData | { toJSON(): SignatureData };

/** {@link SendOptions} as the inside sees them: callbacks may be plain data. */
export type CallOptions = Omit<SendOptions, "link" | "linkError"> & {
  readonly link?: Linked | readonly Linked[] | undefined;
  readonly linkError?: Linked | readonly Linked[] | undefined;
};

/** Wire options without a public name. */
export interface WireExtra {
  readonly retries?: number;
  /** Reversed: the next step is the last. */
  readonly chain?: readonly SignatureData[];
  readonly chord?: SignatureData;
  readonly replacedTaskNesting?: number;
  readonly stampedHeaders?: readonly string[];
  readonly stamps?: Readonly<Record<string, unknown>>;
  readonly argsrepr?: string;
  readonly kwargsrepr?: string;
  readonly deliveryMode?: 1 | 2;
  /** Names that Celery's own canvas puts there and we only keep: `immutable`, a visitor's keys, … */
  readonly rest?: Readonly<Record<string, unknown>>;
}

/** Options read from the wire. */
export interface SplitOptions {
  readonly options: CallOptions;
  readonly extra: WireExtra | null;
}

type Reader = (value: unknown, name: string) => unknown;

function fail(name: string, expected: string): never {
  throw new DecodeError(`option ${name} of a signature must be ${expected}`);
}
const text: Reader = (value, name) => (typeof value === "string" ? value : fail(name, "text"));
const finite: Reader = (value, name) =>
  typeof value === "number" && Number.isFinite(value) ? value : fail(name, "a finite number");
const whole: Reader = (value, name) => (Number.isSafeInteger(value) ? value : fail(name, "a whole number"));
const flag: Reader = (value, name) => (typeof value === "boolean" ? value : fail(name, "true or false"));
const record: Reader = (value, name) =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? value : fail(name, "an object");
const instant: Reader = (value, name) =>
  typeof value === "string" || value instanceof Date ? value : fail(name, "a date");
const instantOrSeconds: Reader = (value, name) =>
  typeof value === "number" ? finite(value, name) : instant(value, name);
const list: Reader = (value, name) => (Array.isArray(value) ? value : fail(name, "a list"));
const linked: Reader = (value, name) => (Array.isArray(value) ? value : [record(value, name)]);
const names: Reader = (value, name) =>
  Array.isArray(value) && value.every((one) => typeof one === "string")
    ? value
    : fail(name, "a list of names");
const mode: Reader = (value, name) => (value === 1 || value === 2 ? value : fail(name, "1 or 2"));

/** Snake-case keys of kombu's retry policy. */
const policy: Reader = (value, name) => {
  const given = record(value, name) as Readonly<Record<string, unknown>>;
  const read: Record<string, unknown> = {};
  for (const [wire, ours] of POLICY) {
    const one = given[wire];
    if (one !== undefined && (one !== null || wire === "max_retries"))
      read[ours] = one === null ? null : finite(one, `${name}.${wire}`);
  }
  return read;
};
const POLICY: readonly (readonly [wire: string, ours: keyof RetryPolicy])[] = [
  ["max_retries", "maxRetries"],
  ["interval_start", "intervalStart"],
  ["interval_step", "intervalStep"],
  ["interval_max", "intervalMax"],
  ["timeout", "timeout"],
];

const PUBLIC: readonly (readonly [wire: string, ours: keyof SendOptions, read: Reader])[] = [
  ["task_id", "taskId", text],
  ["countdown", "countdown", finite],
  ["eta", "eta", instant],
  ["expires", "expires", instantOrSeconds],
  ["queue", "queue", text],
  ["exchange", "exchange", text],
  ["routing_key", "routingKey", text],
  ["priority", "priority", whole],
  ["serializer", "serializer", text],
  ["compression", "compression", text],
  ["retry", "retry", flag],
  ["retry_policy", "retryPolicy", policy],
  ["time_limit", "timeLimit", finite],
  ["soft_time_limit", "softTimeLimit", finite],
  ["ignore_result", "ignoreResult", flag],
  ["shadow", "shadow", text],
  ["headers", "headers", record],
  ["link", "link", linked],
  ["link_error", "linkError", linked],
  ["reply_to", "replyTo", text],
  ["root_id", "rootId", text],
  ["parent_id", "parentId", text],
  ["group_id", "groupId", text],
  ["group_index", "groupIndex", whole],
];

const EXTRA: readonly (readonly [wire: string, ours: keyof WireExtra, read: Reader])[] = [
  ["retries", "retries", whole],
  ["chain", "chain", list],
  ["chord", "chord", record],
  ["replaced_task_nesting", "replacedTaskNesting", whole],
  ["stamped_headers", "stampedHeaders", names],
  ["argsrepr", "argsrepr", text],
  ["kwargsrepr", "kwargsrepr", text],
  ["delivery_mode", "deliveryMode", mode],
];

type Known = readonly [to: "options" | "extra", ours: string, read: Reader];
const BY_WIRE: ReadonlyMap<string, Known> = new Map<string, Known>([
  ...PUBLIC.map(([wire, ours, read]): [string, Known] => [wire, ["options", ours, read]]),
  ...EXTRA.map(([wire, ours, read]): [string, Known] => [wire, ["extra", ours, read]]),
]);

const WIRE_NAMES: ReadonlyMap<string, string> = new Map(PUBLIC.map(([wire, ours]) => [ours, wire]));

/** Whether an option has this name, here or on the wire: a stamp may not. */
export function isOptionName(name: string): boolean {
  return BY_WIRE.has(name) || WIRE_NAMES.has(name);
}

/** Options among other names, as the wire has them; other names stay as they are. */
export function wireNamed(given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const options: Record<string, unknown> = {};
  const others: [string, unknown][] = [];
  for (const [name, value] of Object.entries(given)) {
    if (WIRE_NAMES.has(name)) options[name] = value;
    else others.push([name, value]);
  }
  return { ...Object.fromEntries(others), ...joinWireOptions(options, null) };
}

/**
 * Reads a signature's `options`. They may come from a broker: every value is checked, null is left out but as a stamp.
 *
 * @throws DecodeError that names the option
 */
export function splitWireOptions(wire: Readonly<Record<string, unknown>>): SplitOptions {
  const options: Record<string, unknown> = {};
  let extra: Record<string, unknown> | null = null;
  let rest: Record<string, unknown> | null = null;
  for (const [name, value] of Object.entries(wire)) {
    const known = BY_WIRE.get(name);
    if (value === null || value === undefined) {
      if (value === undefined || known !== undefined || !isStamp(wire, name)) continue;
    }
    if (known === undefined) {
      rest ??= Object.create(null) as Record<string, unknown>;
      rest[name] = value;
    } else if (known[0] === "options") {
      options[known[1]] = known[2](value, name);
    } else {
      extra ??= {};
      extra[known[1]] = known[2](value, name);
    }
  }
  if (rest !== null) {
    extra ??= {};
    const stamped = (extra["stampedHeaders"] as readonly string[] | undefined) ?? [];
    const stamps: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
    for (const name of stamped) {
      if (!(name in rest)) continue;
      stamps[name] = rest[name];
      delete rest[name];
    }
    if (Object.keys(stamps).length > 0) extra["stamps"] = stamps;
    if (Object.keys(rest).length > 0) extra["rest"] = rest;
  }
  return { options, extra };
}

/** What Celery's `apply_async`, `send_task` and `publish` take for themselves, and the properties that each message has. */
const NO_PROPERTIES: ReadonlySet<string> = new Set(
  [
    "add_to_parent connection create_sent_event producer publisher result_cls route_name router task_type immutable",
    "chord_size eager interval origin use_link confirm_timeout content_encoding content_type declare exchange_type",
    "immediate mandatory now timeout timezone",
    "body_encoding correlation_id delivery_info delivery_tag expiration",
  ].flatMap((line) => line.split(" ")),
);

/** Options that nobody knows are properties of the message, as in Celery. null: there are none. */
export function messageProperties(
  rest: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> | null {
  const own = Object.entries(rest).filter(([name]) => !NO_PROPERTIES.has(name) && name !== "__proto__");
  return own.length === 0 ? null : Object.fromEntries(own);
}

/** A stamp may be null. */
function isStamp(wire: Readonly<Record<string, unknown>>, name: string): boolean {
  const stamped = wire["stamped_headers"];
  return Array.isArray(stamped) && stamped.includes(name);
}

function linkedData(value: Linked | readonly Linked[]): readonly SignatureData[] {
  const all = (Array.isArray(value) ? value : [value]) as readonly Linked[];
  return all.map((one) => ("toJSON" in one ? one.toJSON() : one));
}

/** Callbacks as the wire has them; null: none. */
export function linkedList(value: Linked | readonly Linked[] | undefined): readonly SignatureData[] | null {
  if (value === undefined) return null;
  const all = linkedData(value);
  return all.length === 0 ? null : all;
}

/** The reverse of {@link splitWireOptions}: a signature's `options`. */
export function joinWireOptions(
  options: CallOptions,
  extra: WireExtra | null,
): Readonly<Record<string, unknown>> {
  const wire: Record<string, unknown> = {};
  for (const [name, ours] of PUBLIC) {
    const value = options[ours];
    if (value === undefined || value === null) continue;
    if (ours === "link" || ours === "linkError") wire[name] = linkedData(value as readonly Linked[]);
    else if (ours === "retryPolicy") wire[name] = wirePolicy(value as RetryPolicy);
    else if (ours === "eta" || ours === "expires") wire[name] = wireInstant(value as Instant | number);
    else wire[name] = value;
  }
  if (extra === null) return wire;
  for (const [name, ours] of EXTRA) {
    const value = extra[ours];
    if (value !== undefined) wire[name] = value;
  }
  return { ...wire, ...extra.stamps, ...extra.rest };
}

/** Temporal's instants become dates: those the wire has. */
function wireInstant(value: Instant | number): Date | string | number {
  return typeof value === "object" && "epochMilliseconds" in value
    ? new Date(value.epochMilliseconds)
    : value;
}

function wirePolicy(given: RetryPolicy): Readonly<Record<string, unknown>> {
  const wire: Record<string, unknown> = {};
  for (const [name, ours] of POLICY) if (given[ours] !== undefined) wire[name] = given[ours];
  return wire;
}

/** `group_id` may not change once it is set, nor may stamps: tasks would stall. Celery: `Signature._IMMUTABLE_OPTIONS`. */
export function mergeOptions(base: SplitOptions, over: SplitOptions): SplitOptions {
  const options: Record<string, unknown> = { ...base.options };
  for (const [name, value] of Object.entries(over.options)) {
    if (value === undefined || value === null) continue;
    if (name === "groupId" && options["groupId"] !== undefined) continue;
    options[name] = value;
  }
  return { options, extra: mergeExtra(base.extra, over.extra) };
}

function mergeExtra(base: WireExtra | null, over: WireExtra | null): WireExtra | null {
  if (base === null || over === null) return base ?? over;
  const stamped = base.stampedHeaders !== undefined;
  const merged: Record<string, unknown> = { ...base, ...over };
  if (stamped) merged["stampedHeaders"] = base.stampedHeaders;
  if (base.stamps !== undefined) merged["stamps"] = { ...over.stamps, ...base.stamps };
  if (base.rest !== undefined) merged["rest"] = { ...base.rest, ...over.rest };
  return merged;
}
