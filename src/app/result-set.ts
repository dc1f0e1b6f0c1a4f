/** Results that are waited for together, of whatever calls. Python: `celery/result.py`, `ResultSet`. */
import { ResultMembers } from "./result-members.ts";
import type { AsyncResult, ResultSet } from "./result-types.ts";
import type { Results } from "./results.ts";

/** The one implementation of {@link ResultSet}. */
export class ResultSetHandle extends ResultMembers implements ResultSet<unknown> {
  /** By id, in the order they were added. */
  readonly #members = new Map<string, AsyncResult<unknown>>();

  constructor(store: Results, results: Iterable<AsyncResult<unknown>>) {
    super(store);
    this.update(results);
  }

  get results(): readonly AsyncResult<unknown>[] {
    return [...this.#members.values()];
  }

  get(options?: Parameters<ResultMembers["joinNative"]>[0]): Promise<never> {
    return this.joinNative(options);
  }

  add(result: AsyncResult<unknown>): void {
    if (!this.#members.has(result.id)) this.#members.set(result.id, result);
  }

  update(results: Iterable<AsyncResult<unknown>>): void {
    for (const result of results) this.add(result);
  }

  remove(result: AsyncResult<unknown> | string): void {
    const id = idOf(result);
    if (!this.#members.delete(id))
      throw new RangeError(`the result of task ${id} is not in the set: nothing was removed`);
  }

  discard(result: AsyncResult<unknown> | string): void {
    this.#members.delete(idOf(result));
  }

  clear(): void {
    this.#members.clear();
  }
}

function idOf(result: AsyncResult<unknown> | string): string {
  return typeof result === "string" ? result : result.id;
}
