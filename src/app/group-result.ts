/** The handle of a group. Python: `celery/result.py`, `GroupResult`. */
import type { TaskLogLine } from "../protocol/log-lines.ts";
import { collectFrom } from "./result-collect.ts";
import { type Dependency, graphOf, iterdeps, leafOf } from "./result-graph.ts";
import { ResultMembers } from "./result-members.ts";
import { tupleOf } from "./result-tuples.ts";
import type {
  AsyncResult,
  GetOptions,
  GraphOptions,
  GroupResult,
  ResultGraph,
  TaskOutcome,
  TaskState,
  TaskStatus,
} from "./result-types.ts";
import type { Results } from "./results.ts";
import { SharedWait } from "./shared-wait.ts";

interface Parts {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly results: readonly AsyncResult<unknown>[];
}

/** The one implementation of {@link GroupResult}. */
export class GroupHandle extends ResultMembers implements GroupResult<readonly unknown[]> {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly duplicate = false;
  readonly results: readonly AsyncResult<unknown>[];

  constructor(store: Results, parts: Parts) {
    super(store);
    this.id = parts.id;
    this.parent = parts.parent;
    this.results = parts.results;
  }

  async get(options: GetOptions & { readonly propagate?: boolean | undefined } = {}): Promise<never> {
    const outcome = await this.outcome(options);
    if (outcome.state === "SUCCESS") return outcome.result as never;
    if (options.propagate === false) return outcome.error as never;
    throw outcome.error;
  }

  /** The first failure that arrives decides. */
  async outcome(options: GetOptions = {}): Promise<TaskOutcome<readonly unknown[]>> {
    const wait = new SharedWait(options, this.store.clock);
    const waits = this.results.map((result) => result.outcome(wait.options));
    try {
      return await new Promise((resolve, reject) => {
        for (const one of waits) {
          one.then((outcome) => {
            if (outcome.state !== "SUCCESS") resolve(outcome);
          }, reject);
        }
        Promise.all(waits).then((ended) => resolve(joined(ended)), reject);
      });
    } finally {
      wait.end();
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
    return collectFrom(this, options, this.store.clock);
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

  async save(): Promise<void> {
    await this.store.saveGroup(this.id, tupleOf(this));
  }

  override async forget(): Promise<void> {
    await super.forget();
    await this.store.forgetGroup(this.id);
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
