import type { Seconds } from "./sendable-types.ts";

/** How a task is unique: at most one call of the same key waits or runs. */
export interface UniqueOptions {
  /**
   * The key of a call, from its arguments; keyword arguments come last, as an object. Default: the task's name and all of its
   * arguments.
   */
  readonly key?: ((...args: never[]) => string) | undefined;
  /** The key's longest life, counted from the call and anew from the start. Default: an hour. */
  readonly ttl?: Seconds | undefined;
  /** When the key is free: as the task starts, or when it is over, its retries included. Default: `"done"`. */
  readonly until?: "start" | "done" | undefined;
  /** A newer call takes the place of one that has not started; the older one ends as REVOKED. Default: false. */
  readonly replace?: boolean | undefined;
  /** Start only when no newer call has come for so long. Replaces. */
  readonly debounce?: Seconds | undefined;
  /** But no later than so long after the first of these calls. */
  readonly maxWait?: Seconds | undefined;
}

const NAMES = ["key", "ttl", "until", "replace", "debounce", "maxWait"];
const isTime = (value: unknown): boolean =>
  value === undefined || (typeof value === "number" && Number.isFinite(value) && value > 0 && value < 1e9);

/** What is wrong with the option `unique`, as "must be …"; null: nothing. */
export function uniqueFlaw(value: unknown): string | null {
  if (typeof value === "boolean") return null;
  if (typeof value !== "object" || value === null)
    return "true, or { key, ttl, until, replace, debounce, maxWait }";
  const { key, ttl, until, replace, debounce, maxWait } = value as Record<string, unknown>;
  const strange = Object.keys(value).find((name) => !NAMES.includes(name));
  if (strange !== undefined) return `of ${NAMES.join(", ")}, and has ${JSON.stringify(strange)}`;
  if (key !== undefined && typeof key !== "function") return "with a function as key";
  if (![ttl, debounce, maxWait].every(isTime)) return "with seconds above 0 as ttl, debounce and maxWait";
  if (until !== undefined && until !== "start" && until !== "done") return 'with "start" or "done" as until';
  if (replace !== undefined && typeof replace !== "boolean") return "with true or false as replace";
  if (debounce !== undefined && replace === false) return "without replace: false where it has debounce";
  if (maxWait === undefined) return null;
  if (debounce === undefined) return "with debounce where it has maxWait";
  return (maxWait as number) < (debounce as number)
    ? "with a maxWait that is no shorter than debounce"
    : null;
}
