/** Which key a call of a unique task has. The broker decides what comes of it: `transports/unique-locks.ts`. */
import { createHash } from "node:crypto";
import { EncodeError } from "../errors.ts";
import { stringifyJson } from "../protocol/json.ts";
import type { UniqueOptions } from "../task/unique-options.ts";
import { type UniqueKey, type UniqueTerms, writeUniqueKey } from "../transports/unique-locks.ts";
import type { Send } from "./send-builder.ts";

/** The task option `unique`, complete. ms. */
export interface UniquePlan extends Omit<UniqueTerms, "unique"> {
  readonly key: ((...args: never[]) => string) | null;
  readonly ttlMs: number;
  readonly until: UniqueKey["until"];
}

const DEFAULT_TTL_SECONDS = 3600;
/** A longer key is hashed. */
const LONGEST_KEY = 200;

export function uniquePlan(option: boolean | UniqueOptions | undefined): UniquePlan | null {
  if (option === undefined || option === false) return null;
  const { key, ttl, until, replace, debounce, maxWait }: UniqueOptions = option === true ? {} : option;
  return {
    key: key ?? null,
    ttlMs: Math.ceil((ttl ?? DEFAULT_TTL_SECONDS) * 1000),
    until: until ?? "done",
    replace: replace === true || debounce !== undefined,
    debounceMs: Math.ceil((debounce ?? 0) * 1000),
    maxWaitMs: maxWait === undefined ? null : Math.ceil(maxWait * 1000),
  };
}

/**
 * null: it takes no key. A call that is a part of a canvas is waited for by others, who know it by its id.
 *
 * @throws EncodeError when the task's own `key` gives no text
 */
export function uniqueTerms(send: Send, delayMs: number): { terms: UniqueTerms; header: unknown } | null {
  const { plan, options, extra, embed, byUser } = send;
  const { unique } = plan;
  if (unique === null || !byUser || embed !== null || options.groupId !== undefined) return null;
  if (extra?.chain !== undefined || extra?.chord !== undefined) return null;
  const { ttlMs, until, replace, debounceMs, maxWaitMs } = unique;
  const key = keyOf(send, unique);
  return {
    // What waits for its time keeps its key as long.
    terms: { unique: { key, ttlMs: ttlMs + delayMs, until }, replace, debounceMs, maxWaitMs },
    header: writeUniqueKey({ key, ttlMs, until }),
  };
}

function keyOf({ plan, args, kwargs }: Send, { key }: UniquePlan): string {
  if (key === null) return `${plan.task}:${hash(canonicalText(args, kwargs))}`;
  const named = Object.keys(kwargs).length > 0;
  const given: unknown = key(...((plan.input !== null || named ? [...args, kwargs] : args) as never[]));
  if (typeof given !== "string" || given === "") {
    throw new EncodeError(`unique.key of task ${plan.task} must give a text that is not empty`);
  }
  return `${plan.task}:${given.length > LONGEST_KEY ? hash(given) : given}`;
}

/** The same text for equal arguments, in whatever order the properties of objects are. */
function canonicalText(args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): string {
  // First as it is: what cannot travel is named there, and what is left has no cycles.
  stringifyJson(args, "args");
  stringifyJson(kwargs, "kwargs");
  return stringifyJson(sorted([args, kwargs]), "args");
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, one]) => [name, sorted(one)]));
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 40);
}
