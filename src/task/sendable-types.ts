import type { AsyncResult } from "../app/result-types.ts";
import type { Decimal, PlainDate, PlainTime, Uuid } from "../protocol/values.ts";

/** Seconds, as everywhere in Celery's API. */
export type Seconds = number;

/** A point in time: a `Date`, an ISO 8601 string (without offset: UTC), or anything with `epochMilliseconds` (Temporal). */
export type Instant = Date | string | { readonly epochMilliseconds: number };

/** The mark of {@link Kwargs}; a real symbol, so that a plain object is never taken for keyword arguments. */
export const kwargsOf: unique symbol = Symbol.for("petiole.kwargs");

/** Keyword arguments, made by {@link kw}. Always the last argument of a call. `K` makes an unknown name an error. */
export interface Kwargs<out T extends object, out K extends PropertyKey = keyof T> {
  readonly [kwargsOf]: readonly [values: T, names: K];
}

export type AnyFunction = (...args: any) => any;
type OneBased = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
type Position<I> = `argument ${I extends keyof OneBased ? OneBased[I] & string : "n"}`;

/** Why `T` cannot travel, as a sentence; `never` when it can. Looks five levels deep. */
type Flaw<T, At extends string, Depth extends 0[] = []> = 0 extends 1 & T
  ? never
  : unknown extends T
    ? never
    : Depth["length"] extends 5
      ? never
      : bigint extends T
        ? number extends T
          ? FlawOf<T, At, Depth>
          : `${At} is a bigint: small ones arrive as number, declare number | bigint`
        : FlawOf<T, At, Depth>;
type FlawOf<T, At extends string, Depth extends 0[]> = T extends
  | string
  | number
  | boolean
  | bigint
  | null
  | undefined
  | void
  | Date
  | Uint8Array
  | PlainDate
  | PlainTime
  | Uuid
  | Decimal
  ? never
  : T extends AsyncResult<any>
    ? At extends "the result"
      ? never
      : `${At} is the handle of a result: send its id, or the result itself`
    : T extends AnyFunction
      ? `${At} is a function: only data can be sent`
      : T extends symbol
        ? `${At} is a symbol: only data can be sent`
        : T extends ReadonlyMap<any, any>
          ? `${At} is a Map: send an object or an array of pairs`
          : T extends ReadonlySet<any>
            ? `${At} is a Set: send an array`
            : T extends Error
              ? `${At} is an Error: throw it instead`
              : T extends Kwargs<infer K, any>
                ? Flaw<K, At, Depth>
                : T extends readonly unknown[]
                  ? Flaw<T[number], `${At}[]`, [...Depth, 0]>
                  : 0 extends 1 & T[keyof T] // a property is `any`: say which ones are functions
                    ? { [K in keyof T & string]-?: Flaw<T[K], `${At}.${K}`, [...Depth, 0]> }[keyof T & string]
                    : [Extract<T[keyof T], AnyFunction>] extends [never]
                      ? { [K in keyof T & string]-?: Flaw<T[K], `${At}.${K}`, [...Depth, 0]> }[keyof T &
                          string]
                      : `${At} has methods: only data can be sent`;

type ArgumentFlaw<T, At extends string> = [T] extends [never]
  ? `${At} needs a type annotation (with bind: true the first one is the task's context)`
  : Flaw<T, At>;
type ArgumentFlaws<P extends readonly unknown[]> = number extends P["length"]
  ? Flaw<P[number], "an argument">
  : { [I in keyof P]-?: ArgumentFlaw<P[I], Position<I>> }[number];
/** `unknown` when arguments and result can travel, else the sentences that say why not. */
export type Sendable<P extends readonly unknown[], R> = [ArgumentFlaws<P> | Flaw<R, "the result">] extends [
  never,
]
  ? unknown
  : ArgumentFlaws<P> | Flaw<R, "the result">;

/** What a caller gets for a function that returns `R`: promises are awaited, nothing becomes `null` (Python's `None`). */
export type Returned<R> = Awaited<R> extends infer T ? (T extends void | undefined ? null : T) : never;
