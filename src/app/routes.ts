/**
 * Which queue a task goes to: the setting `task_routes`. Python: `celery/app/routes.py`.
 *
 * Options given with the send and the task's own options win over what a route says; that merge is
 * `Queues.destination`'s. An object is asked for the exact name first, then for its patterns in their order; an array is
 * asked element by element, the first that answers wins. A RegExp is searched for, not anchored (Python's `re.match` is).
 */

import { camelKeys } from "../base/case.ts";
import { didYouMean } from "../base/nearest.ts";
import { ImproperlyConfigured } from "../errors.ts";
import type { SendOptions } from "../task/send-types.ts";
import { globMatcher } from "./routes-glob.ts";
import { EXCHANGE_TYPES, partialRetryPolicy } from "./settings/structures.ts";
import {
  anyText,
  BadValue,
  boolean,
  integer,
  isRecord,
  oneOf,
  oneOfNumbers,
  record,
  type ValueType,
  word,
} from "./settings/values.ts";
import type { Route, Router as RouteFunction, Routes } from "./settings-types.ts";

/** What a route function is told of the send. */
export interface RouteCall {
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: SendOptions;
}

interface Table {
  readonly exact: ReadonlyMap<string, Route>;
  readonly patterns: readonly (readonly [matches: (name: string) => boolean, route: Route])[];
}
type Rule = Table | RouteFunction;

/** What a route may say, and of which kind it is. */
const ROUTE_VALUES: { readonly [K in keyof Route]-?: ValueType<unknown> } = {
  queue: word,
  exchange: anyText,
  exchangeType: oneOf(EXCHANGE_TYPES),
  routingKey: anyText,
  priority: integer({ min: 0 }),
  serializer: word,
  compression: word,
  deliveryMode: oneOfNumbers([1, 2]),
  retry: boolean,
  retryPolicy: partialRetryPolicy,
  headers: record,
};

/** Names remembered at most: names usually come from code, but a caller may build them. */
const MAX_CACHED_NAMES = 10_000;

export class Router {
  /** A function decides, so that answers cannot be remembered. */
  readonly dynamic: boolean;
  readonly #rules: readonly Rule[];
  /** Written by `route` only; unused when `dynamic`. */
  readonly #cache = new Map<string, Route | null>();

  constructor(routes: Routes | null) {
    this.#rules = compile(routes);
    this.dynamic = this.#rules.some((rule) => typeof rule === "function");
  }

  /** What the routes say of a task; null: nothing. `call` is read by route functions only. */
  route(name: string, call: RouteCall): Route | null {
    if (this.#rules.length === 0) return null;
    if (this.dynamic) return this.#search(name, call);
    const known = this.#cache.get(name);
    if (known !== undefined) return known;
    const found = this.#search(name, call);
    if (this.#cache.size >= MAX_CACHED_NAMES) this.#cache.clear();
    this.#cache.set(name, found);
    return found;
  }

  #search(name: string, call: RouteCall): Route | null {
    for (const rule of this.#rules) {
      const found = typeof rule === "function" ? ask(rule, name, call) : look(rule, name);
      if (found !== null) return found;
    }
    return null;
  }
}

function look(table: Table, name: string): Route | null {
  const exact = table.exact.get(name);
  if (exact) return exact;
  for (const [matches, route] of table.patterns) if (matches(name)) return route;
  return null;
}

function ask(rule: RouteFunction, name: string, call: RouteCall): Route | null {
  const answer: unknown = rule(name, call.args, call.kwargs, call.options);
  if (answer === null || answer === undefined) return null;
  try {
    return routeFrom(answer, name);
  } catch (error) {
    if (!(error instanceof BadValue)) throw error;
    throw new ImproperlyConfigured(
      `a function of taskRoutes gave a bad route for task ${JSON.stringify(name)}: ${error.message}`,
    );
  }
}

/** `task_routes` as the user writes it; checked here, compiled by {@link Router}. */
export const routes: ValueType<Routes> = {
  accepts:
    "an object of routes under task names or globs, an array of [pattern, route] pairs, objects and functions, or a function",
  read(value) {
    if (!isRecord(value) && !Array.isArray(value) && typeof value !== "function") return undefined;
    compile(value as Routes);
    return value as Routes;
  },
  fromText: record.fromText,
};

/** Throws {@link BadValue}. */
function compile(value: Routes | null): readonly Rule[] {
  if (value === null) return [];
  if (typeof value === "function" || isRecord(value)) return [ruleFrom(value)];
  return (value as readonly unknown[]).map((one) => ruleFrom(one));
}

function ruleFrom(value: unknown): Rule {
  if (typeof value === "function") return value as RouteFunction;
  if (isRecord(value)) return tableFrom(Object.entries(value));
  if (isPair(value)) return tableFrom([value]);
  if (Array.isArray(value) && value.every((one) => isPair(one))) return tableFrom(value);
  if (typeof value === "string") {
    throw new BadValue(`${JSON.stringify(value)} names a router: import the function and give it itself`);
  }
  throw new BadValue("a route is neither a [pattern, route] pair, an object, nor a function");
}

function isPair(value: unknown): value is readonly [pattern: string | RegExp, route: unknown] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  return typeof value[0] === "string" || value[0] instanceof RegExp;
}

function tableFrom(pairs: readonly (readonly [pattern: string | RegExp, route: unknown])[]): Table {
  const exact = new Map<string, Route>();
  const patterns: (readonly [(name: string) => boolean, Route])[] = [];
  for (const [pattern, value] of pairs) {
    const route = routeFrom(value, String(pattern));
    if (pattern instanceof RegExp) {
      // `g` and `y` would keep a position between two searches.
      const search = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""));
      patterns.push([(name) => search.test(name), route]);
    } else if (pattern.includes("*")) patterns.push([globMatcher(pattern), route]);
    else exact.set(pattern, route);
  }
  return { exact, patterns };
}

/** A route in its final form: camelCase keys, nothing undefined. A string is a queue's name. */
function routeFrom(value: unknown, pattern: string): Route {
  if (typeof value === "string" && value !== "") return Object.freeze({ queue: value });
  if (value instanceof Promise)
    throw new BadValue("a route function must answer at once, not with a promise");
  if (!isRecord(value)) {
    throw new BadValue(`the route of ${JSON.stringify(pattern)} is neither a queue's name nor an object`);
  }
  const route: Record<string, unknown> = {};
  for (const [key, one] of Object.entries(camelKeys(value))) {
    if (one === undefined || one === null) continue;
    const type = Object.hasOwn(ROUTE_VALUES, key) ? ROUTE_VALUES[key as keyof Route] : null;
    if (type === null) {
      throw new BadValue(
        `the route of ${JSON.stringify(pattern)} cannot have ${key}${didYouMean(key, Object.keys(ROUTE_VALUES))}`,
      );
    }
    const read = type.read(one);
    if (read === undefined) {
      throw new BadValue(`${key} in the route of ${JSON.stringify(pattern)} is not ${type.accepts}`);
    }
    route[key] = read;
  }
  return Object.freeze(route);
}
