/** Results as they arrive: of a whole tree, and of the members of a group. */
import { setMaxListeners } from "node:events";
import type { Clock } from "../base/clock.ts";
import type { AsyncResult, GetOptions } from "./result-types.ts";

interface Visited<T> {
  readonly key: T;
  readonly value: unknown;
}
type Found<T> = { readonly from: Promise<Found<T>> } & (Visited<T> | { readonly error: unknown });

/** One wait after the other may be added while it runs. Ends all of them when it is left. */
class Arrivals<T> {
  readonly #abort = new AbortController();
  readonly #open = new Set<Promise<Found<T>>>();
  readonly #startedMs: number;
  readonly #options: GetOptions;
  readonly #clock: Clock;

  constructor(options: GetOptions, clock: Clock) {
    const { signal } = this.#abort;
    const ended = options.signal ? AbortSignal.any([options.signal, signal]) : signal;
    // One listener for each wait: not a leak.
    setMaxListeners(0, ended);
    this.#options = { ...options, signal: ended };
    this.#clock = clock;
    this.#startedMs = clock.monotonic();
  }

  add(key: T, result: AsyncResult<unknown>): void {
    const found: Promise<Found<T>> = result.get(this.#left()).then(
      (value) => ({ from: found, key, value }),
      (error: unknown) => ({ from: found, error }),
    );
    this.#open.add(found);
  }

  /** The timeout counts for all of them together. */
  #left(): GetOptions {
    const { timeout } = this.#options;
    if (timeout === undefined) return this.#options;
    const spentSeconds = (this.#clock.monotonic() - this.#startedMs) / 1000;
    return { ...this.#options, timeout: Math.max(timeout - spentSeconds, 0) };
  }

  /** undefined: none is left. Throws the error of one that failed. */
  async next(): Promise<Visited<T> | undefined> {
    if (this.#open.size === 0) return undefined;
    const found = await Promise.race(this.#open);
    this.#open.delete(found.from);
    if ("error" in found) throw found.error;
    return found;
  }

  end(): void {
    this.#abort.abort();
  }
}

/** `AsyncResult.collect`: the result and all below it. */
export async function* collectFrom(
  root: AsyncResult<unknown>,
  options: GetOptions,
  clock: Clock,
): AsyncGenerator<readonly [result: AsyncResult<unknown>, value: unknown], void, void> {
  const arrivals = new Arrivals<AsyncResult<unknown>>(options, clock);
  const seen = new Set<string>();
  const visit = (result: AsyncResult<unknown>): void => {
    if (seen.has(result.id)) return;
    seen.add(result.id);
    arrivals.add(result, result);
  };
  visit(root);
  try {
    for (let next = await arrivals.next(); next !== undefined; next = await arrivals.next()) {
      for (const child of await next.key.children()) visit(child);
      yield [next.key, next.value];
    }
  } finally {
    arrivals.end();
  }
}

/** Results of a group's members, each with its place. */
export async function* arriving(
  results: readonly AsyncResult<unknown>[],
  options: GetOptions,
  clock: Clock,
): AsyncGenerator<{ readonly index: number; readonly id: string; readonly value: unknown }, void, void> {
  const arrivals = new Arrivals<number>(options, clock);
  for (const [index, result] of results.entries()) arrivals.add(index, result);
  try {
    for (let next = await arrivals.next(); next !== undefined; next = await arrivals.next()) {
      const { key: index, value } = next;
      yield { index, id: results[index]?.id ?? "", value };
    }
  } finally {
    arrivals.end();
  }
}
