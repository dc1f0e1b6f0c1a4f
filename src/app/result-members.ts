/** What the handle of a group and a set of results have in common. Python: `celery/result.py`, `ResultSet`. */
import { type Arrived, arriving } from "./result-collect.ts";
import type { AsyncResult, JoinOptions, RevokeOptions } from "./result-types.ts";
import type { Results } from "./results.ts";
import { SharedWait } from "./shared-wait.ts";

type Given = JoinOptions & { readonly callback?: ((id: string, value: never) => unknown) | undefined };

export abstract class ResultMembers {
  abstract readonly results: readonly AsyncResult<unknown>[];
  protected readonly store: Results;

  constructor(store: Results) {
    this.store = store;
  }

  async join(given: Given = {}): Promise<never> {
    const { callback, ...options } = given;
    const wait = new SharedWait(options, this.store.clock);
    const values: unknown[] = [];
    try {
      for (const result of this.results) {
        const value = await result.get(wait.options as object);
        if (callback === undefined) values.push(value);
        else await callback(result.id, value as never);
      }
    } finally {
      wait.end();
    }
    return (callback === undefined ? values : undefined) as never;
  }

  async joinNative(given: Given = {}): Promise<never> {
    const { callback, ...options } = given;
    const values: unknown[] = [];
    for await (const { index, id, value } of arriving([...this.results], options, this.store.clock)) {
      if (callback === undefined) values[index] = value;
      else await callback(id, value as never);
    }
    return (callback === undefined ? values : undefined) as never;
  }

  /** Whether all of them have ended, in whatever way. */
  async ready(): Promise<boolean> {
    return !(await this.waiting());
  }

  async successful(): Promise<boolean> {
    return (await this.completedCount()) === this.results.length;
  }

  async failed(): Promise<boolean> {
    const failed = await Promise.all(this.results.map((result) => result.failed()));
    return failed.includes(true);
  }

  async completedCount(): Promise<number> {
    const succeeded = await Promise.all(this.results.map((result) => result.successful()));
    return succeeded.filter(Boolean).length;
  }

  async waiting(): Promise<boolean> {
    const ready = await Promise.all(this.results.map((result) => result.ready()));
    return ready.includes(false);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Arrived, void, void> {
    return arriving([...this.results], {}, this.store.clock);
  }

  async forget(): Promise<void> {
    await Promise.all(this.results.map((result) => result.forget()));
  }

  async revoke(options: RevokeOptions = {}): Promise<void> {
    await Promise.all(this.results.map((result) => result.revoke(options)));
  }
}
