/** Results as they arrive: of a whole tree, and of the members of a group. */
import type { Clock } from "../base/clock.ts";
import type { AsyncResult, GetOptions } from "./result-types.ts";
import { SharedWait } from "./shared-wait.ts";

interface Visited<T> {
  readonly key: T;
  readonly value: unknown;
}

/** A member's result. */
export interface Arrived {
  readonly index: number;
  readonly id: string;
  readonly value: unknown;
}

/** One wait after the other may be added while it runs. Ends all of them when it is left. */
class Arrivals<T> {
  readonly #wait: SharedWait<GetOptions>;
  /** Added, and not yet given by `next`. */
  #open = 0;
  /** The last one first: `next` takes them from its end. Refilled from `#arrived`. */
  #taken: (() => Visited<T>)[] = [];
  #arrived: (() => Visited<T>)[] = [];
  #wake: () => void = () => {};

  constructor(options: GetOptions, clock: Clock) {
    this.#wait = new SharedWait(options, clock);
  }

  add(key: T, result: AsyncResult<unknown>): void {
    this.#open += 1;
    result.get(this.#wait.options).then(
      (value) => this.#arrive(() => ({ key, value })),
      (error: unknown) =>
        this.#arrive(() => {
          throw error;
        }),
    );
  }

  #arrive(found: () => Visited<T>): void {
    this.#arrived.push(found);
    this.#wake();
  }

  /** undefined: none is left. Throws the error of one that failed. */
  async next(): Promise<Visited<T> | undefined> {
    if (this.#open === 0) return undefined;
    if (this.#taken.length === 0) {
      if (this.#arrived.length === 0) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      this.#taken = this.#arrived.toReversed();
      this.#arrived = [];
    }
    this.#open -= 1;
    return this.#taken.pop()?.();
  }

  end(): void {
    this.#wait.end();
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
): AsyncGenerator<Arrived, void, void> {
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
