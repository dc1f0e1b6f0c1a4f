/** Keyword arguments at the call: Python's `f(url, width=80)` is `f.delay(url, kw({ width: 80 }))`. */
import { EncodeError } from "../errors.ts";
import { type Kwargs, kwargsOf } from "./sendable-types.ts";

/** Marks an object as keyword arguments: `resize.delay(url, kw({ width: 80 }))` is Python's `resize.delay(url, width=80)`. */
export function kw<const T extends object>(values: T): Kwargs<T> {
  return Object.freeze({ [kwargsOf]: [values, undefined as never] as const });
}

/** What a call carries. */
export interface CallArguments {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

const NO_KWARGS: Readonly<Record<string, unknown>> = Object.freeze({});

function keywordsOf(value: unknown): Readonly<Record<string, unknown>> | null {
  if (typeof value !== "object" || value === null || !(kwargsOf in value)) return null;
  return (value as { readonly [kwargsOf]: readonly [Readonly<Record<string, unknown>>] })[kwargsOf][0];
}

/** Properties that are undefined were not given: Python's default applies. */
function defined(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  for (const key in values) {
    if (values[key] === undefined)
      return Object.fromEntries(Object.entries(values).filter((entry) => entry[1] !== undefined));
  }
  return values;
}

/**
 * Takes what a user wrote apart: `kw(…)` at the end, or the one object of a task with an `input` schema, become keyword
 * arguments; trailing `undefined` is cut.
 *
 * @param task - the name, for messages
 * @param given - as written
 * @param byKeyword - the task has an `input` schema
 * @throws EncodeError for an `undefined` in the middle: it would arrive as `None`, not as the parameter's default
 */
export function splitArguments(task: string, given: readonly unknown[], byKeyword: boolean): CallArguments {
  let end = given.length;
  let kwargs: Readonly<Record<string, unknown>> | null = null;
  if (end > 0) {
    const last = given[end - 1];
    if (typeof last === "object" && last !== null) {
      kwargs = keywordsOf(last);
      if (kwargs !== null) {
        end -= 1;
        kwargs = defined(kwargs);
      } else if (byKeyword && end === 1 && !Array.isArray(last)) {
        return { args: [], kwargs: defined(last as Readonly<Record<string, unknown>>) };
      }
    }
  }
  while (end > 0 && given[end - 1] === undefined) end -= 1;
  for (let index = 0; index < end; index += 1) {
    const value = given[index];
    if (value === undefined) {
      throw new EncodeError(
        `argument ${index + 1} of ${task} is undefined, and others follow: it would arrive as null, not as the parameter's default. Send null, or name the later ones with kw({ … })`,
      );
    }
    if (typeof value === "object" && keywordsOf(value) !== null) {
      throw new EncodeError(`argument ${index + 1} of ${task} is kw(…), and others follow: put kw(…) last`);
    }
  }
  return { args: end === given.length ? given : given.slice(0, end), kwargs: kwargs ?? NO_KWARGS };
}

/** Adds the option `kwargs` of `sendTask` and `signature` (ported code) to what was split. */
export function withKwargs(
  task: string,
  call: CallArguments,
  kwargs: Readonly<Record<string, unknown>> | undefined,
): CallArguments {
  if (kwargs === undefined) return call;
  if (call.kwargs !== NO_KWARGS)
    throw new TypeError(`${task}: keyword arguments are given twice, by kw(…) and by the option kwargs`);
  return { args: call.args, kwargs: defined(kwargs) };
}
