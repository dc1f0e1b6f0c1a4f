/** The handle of a group. Python: `celery/result.py`, `GroupResult` and `ResultSet`. */
import { setMaxListeners } from "node:events";
import type { TaskLogLine } from "../protocol/log-lines.ts";
import { arriving, collectFrom } from "./result-collect.ts";
import { type Dependency, graphOf, iterdeps, leafOf } from "./result-graph.ts";
import { tupleOf } from "./result-tuples.ts";
import type {
  AsyncResult,
  GetOptions,
  GraphOptions,
  GroupResult,
  ResultGraph,
  RevokeOptions,
  TaskOutcome,
  TaskState,
  TaskStatus,
} from "./result-types.ts";
import type { Results } from "./results.ts";

interface Parts {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly results: readonly AsyncResult<unknown>[];
}

/** The one implementation of {@link GroupResult}. */
export class GroupHandle implements GroupResult<readonly unknown[]> {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly duplicate = false;
  readonly results: readonly AsyncResult<unknown>[];
  readonly #results: Results;

  constructor(results: Results, parts: Parts) {
    this.id = parts.id;
    this.parent = parts.parent;
    this.results = parts.results;
    this.#results = results;
  }

  async get(options: GetOptions & { readonly propagate?: boolean | undefined } = {}): Promise<never> {
    const outcome = await this.outcome(options);
    if (outcome.state === "SUCCESS") return outcome.result as never;
    if (options.propagate === false) return outcome.error as never;
    throw outcome.error;
  }

  /** The first failure that arrives decides. */
  async outcome(options: GetOptions = {}): Promise<TaskOutcome<readonly unknown[]>> {
    const abort = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, abort.signal]) : abort.signal;
    // One listener for each member: not a leak.
    setMaxListeners(0, signal);
    const waits = this.results.map((result) => result.outcome({ ...options, signal }));
    try {
      return await new Promise((resolve, reject) => {
        for (const wait of waits) {
          wait.then((outcome) => {
            if (outcome.state !== "SUCCESS") resolve(outcome);
          }, reject);
        }
        Promise.all(waits).then((ended) => resolve(joined(ended)), reject);
      });
    } finally {
      abort.abort();
    }
  }

  async status(): Promise<TaskStatus<readonly unknown[]>> {
    const all = await Promise.all(this.results.map((result) => result.status()));
    const failed = all.find((one) => one.state === "FAILURE" || one.state === "REVOKED");
    if (failed?.ready === true && failed.state !== "SUCCESS") return failed;
    if (all.every((one) => one.ready)) return joined(all);
    return { ready: false, state: "PENDING", info: null };
  }

  async state(): Promise<TaskState> {
    return (await this.status()).state;
  }

  async info(): Promise<unknown> {
    const status = await this.status();
    if (!status.ready) return null;
    return status.state === "SUCCESS" ? status.result : status.error;
  }

  /** Whether all of them have ended, in whatever way. */
  async ready(): Promise<boolean> {
    return !(await this.waiting());
  }

  async successful(): Promise<boolean> {
    return (await this.state()) === "SUCCESS";
  }

  async failed(): Promise<boolean> {
    return (await this.state()) === "FAILURE";
  }

  async traceback(): Promise<string | null> {
    const status = await this.status();
    return status.ready && status.state === "FAILURE" ? status.traceback : null;
  }

  async logs(): Promise<readonly TaskLogLine[]> {
    return (await Promise.all(this.results.map((result) => result.logs()))).flat();
  }

  async children(): Promise<readonly AsyncResult<unknown>[]> {
    return this.results;
  }

  collect(options: GetOptions = {}): AsyncIterable<readonly [result: AsyncResult<unknown>, value: unknown]> {
    return collectFrom(this, options, this.#results.clock);
  }

  /** As {@link children}, but a group is one. */
  async dependents(): Promise<readonly AsyncResult<unknown>[]> {
    return this.results;
  }

  iterdeps(options: GraphOptions = {}): AsyncIterable<Dependency> {
    return iterdeps(this, options);
  }

  graph(options: GraphOptions = {}): Promise<ResultGraph> {
    return graphOf(this, options);
  }

  getLeaf(): Promise<unknown> {
    return leafOf(this);
  }

  async completedCount(): Promise<number> {
    const succeeded = await Promise.all(this.results.map((result) => result.successful()));
    return succeeded.filter(Boolean).length;
  }

  async waiting(): Promise<boolean> {
    const ready = await Promise.all(this.results.map((result) => result.ready()));
    return ready.includes(false);
  }

  [Symbol.asyncIterator](): AsyncGenerator<
    { readonly index: number; readonly id: string; readonly value: unknown },
    void,
    void
  > {
    return arriving(this.results, {}, this.#results.clock);
  }

  async save(): Promise<void> {
    await this.#results.saveGroup(this.id, tupleOf(this));
  }

  async forget(): Promise<void> {
    await Promise.all(this.results.map((result) => result.forget()));
    await this.#results.forgetGroup(this.id);
  }

  async revoke(options: RevokeOptions = {}): Promise<void> {
    await Promise.all(this.results.map((result) => result.revoke(options)));
  }

  /** The tuple that Celery stores for a group. */
  toJSON(): unknown {
    return tupleOf(this);
  }
}

/** Of members that have all succeeded, or the first that has not. */
function joined(all: readonly TaskOutcome<unknown>[]): TaskOutcome<readonly unknown[]> {
  const results: unknown[] = [];
  for (const one of all) {
    if (one.state !== "SUCCESS") return one;
    results.push(one.result);
  }
  return { ready: true, state: "SUCCESS", result: results };
}
