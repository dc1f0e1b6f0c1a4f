/** The handle of a sent task. Python: `celery/result.py`, `AsyncResult`; ours keeps a ready result and asks no more. */

import { PetioleError, type RemoteError, TaskRevokedError } from "../errors.ts";
import { decodeException, errorFrom } from "../protocol/exceptions.ts";
import type { TaskLogLine } from "../protocol/log-lines.ts";
import { type ResultNode, readResultTuple } from "../protocol/result-tuple.ts";
import { isException, isReady } from "../protocol/states.ts";
import type { ResultMeta } from "../protocol/wire.ts";
import { GroupHandle } from "./group-result.ts";
import { collectFrom } from "./result-collect.ts";
import { type Dependency, graphOf, iterdeps, leafOf } from "./result-graph.ts";
import { tupleOf } from "./result-tuples.ts";
import type {
  AsyncResult,
  GetOptions,
  GraphOptions,
  ResultGraph,
  RevokeOptions,
  TaskOutcome,
  TaskState,
  TaskStatus,
} from "./result-types.ts";
import type { Results } from "./results.ts";

/** What a handle knows from the start. */
interface Known {
  readonly parent: AsyncResult<unknown> | null;
  readonly ignored: boolean;
  /** Of a task that ran here and was not stored. */
  readonly local: ResultMeta | null;
  readonly duplicate?: boolean;
}

/** The one implementation of {@link AsyncResult}. Light: one is made for each send. */
export class ResultHandle implements AsyncResult<unknown> {
  readonly id: string;
  readonly parent: AsyncResult<unknown> | null;
  readonly duplicate: boolean;
  readonly #results: Results;
  readonly #ignored: boolean;
  readonly #local: boolean;
  /** The ready result, once seen. Written by `#keep` and `forget`. */
  #meta: ResultMeta | null;

  constructor(results: Results, id: string, known: Known) {
    this.id = id;
    this.parent = known.parent;
    this.duplicate = known.duplicate === true;
    this.#results = results;
    this.#ignored = known.ignored;
    this.#local = known.local !== null;
    this.#meta = known.local;
  }

  async get(options: GetOptions & { readonly propagate?: boolean | undefined } = {}): Promise<never> {
    const outcome = await this.outcome(options);
    if (outcome.state === "SUCCESS") return outcome.result as never;
    if (options.propagate === false) return outcome.error as never;
    throw outcome.error;
  }

  async outcome(options: GetOptions = {}): Promise<TaskOutcome<unknown>> {
    if (this.#ignored) {
      throw new PetioleError(
        "PET_RESULT_IGNORED",
        `task ${this.id} stores no result (ignoreResult): there is nothing to wait for`,
      );
    }
    return this.#outcomeOf(this.#meta ?? this.#keep(await this.#results.wait(this.id, options)));
  }

  async status(): Promise<TaskStatus<unknown>> {
    const meta = await this.#read();
    if (meta === null) return { ready: false, state: "PENDING", info: null };
    if (isReady(meta.status)) return this.#outcomeOf(meta);
    return { ready: false, state: meta.status, info: infoOf(meta) };
  }

  async state(): Promise<TaskState> {
    return (await this.#read())?.status ?? "PENDING";
  }

  async info(): Promise<unknown> {
    const meta = await this.#read();
    if (meta === null) return null;
    return meta.status === "SUCCESS" ? this.#value(meta) : infoOf(meta);
  }

  async ready(): Promise<boolean> {
    return isReady(await this.state());
  }

  async successful(): Promise<boolean> {
    return (await this.state()) === "SUCCESS";
  }

  async failed(): Promise<boolean> {
    return (await this.state()) === "FAILURE";
  }

  async traceback(): Promise<string | null> {
    return (await this.#read())?.traceback ?? null;
  }

  async logs(): Promise<readonly TaskLogLine[]> {
    return this.#local ? [] : this.#results.logs(this.id);
  }

  async children(): Promise<readonly AsyncResult<unknown>[]> {
    const meta = await this.#read();
    return (meta?.children ?? []).flatMap((tuple) => handlesOf(this.#results, tuple));
  }

  collect(options: GetOptions = {}): AsyncIterable<readonly [result: AsyncResult<unknown>, value: unknown]> {
    return collectFrom(this, options, this.#results.clock);
  }

  /** As {@link children}, but a group is one. */
  async dependents(): Promise<readonly AsyncResult<unknown>[]> {
    const meta = await this.#read();
    return (meta?.children ?? []).flatMap((tuple) => {
      const node = readResultTuple(tuple);
      return node === null ? [] : [handleOf(this.#results, node)];
    });
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

  async forget(): Promise<void> {
    this.#meta = null;
    if (!this.#local) await this.#results.forget(this.id);
  }

  async revoke(options: RevokeOptions = {}): Promise<void> {
    if (!this.#local) await this.#results.revoke(this.id, options);
  }

  /** The tuple that Celery stores for a result, so that a task may return one. */
  toJSON(): unknown {
    return tupleOf(this);
  }

  async #read(): Promise<ResultMeta | null> {
    if (this.#meta !== null || this.#local) return this.#meta;
    const meta = await this.#results.read(this.id);
    return meta === null ? null : this.#keep(meta);
  }

  /** A ready result does not change any more. */
  #keep(meta: ResultMeta): ResultMeta {
    if (isReady(meta.status)) this.#meta = meta;
    return meta;
  }

  #value(meta: ResultMeta): unknown {
    const node = isResultTuple(meta.result) ? readResultTuple(meta.result) : null;
    return node === null ? (meta.result ?? null) : handleOf(this.#results, node);
  }

  #outcomeOf(meta: ResultMeta): TaskOutcome<unknown> {
    if (meta.status === "SUCCESS") return { ready: true, state: "SUCCESS", result: this.#value(meta) };
    const error = errorOf(meta);
    if (meta.status === "REVOKED") return { ready: true, state: "REVOKED", error: error };
    return { ready: true, state: "FAILURE", error, traceback: meta.traceback };
  }
}

/** The error of a FAILURE, REVOKED or RETRY. */
function errorOf(meta: ResultMeta): RemoteError {
  const info = decodeException(meta.result, meta.traceback);
  return meta.status === "REVOKED" ? new TaskRevokedError(info) : errorFrom(info);
}

function infoOf(meta: ResultMeta): unknown {
  return isException(meta.status) ? errorOf(meta) : (meta.result ?? null);
}

/** Nesting of parents at most: the data may come from anywhere. */
const MAX_PARENTS = 100;

/** Whether a task's value is the tuple of a single task's result: only the long form, a user's own data is left alone. */
export function isResultTuple(value: unknown, depth = 0): boolean {
  if (!Array.isArray(value) || value.length !== 2 || value[1] !== null || depth > MAX_PARENTS) return false;
  const head: unknown = value[0];
  if (!Array.isArray(head) || head.length !== 2 || typeof head[0] !== "string") return false;
  return head[1] === null || isResultTuple(head[1], depth + 1);
}

/** The handle of what a result tuple names. */
export function handleOf(results: Results, node: ResultNode): AsyncResult<unknown> {
  const parent = node.parent === null ? null : handleOf(results, node.parent);
  if (node.children === null)
    return new ResultHandle(results, node.id, { parent, ignored: false, local: null });
  return new GroupHandle(results, {
    id: node.id,
    parent,
    results: node.children.map((one) => handleOf(results, one)),
  });
}

/** Handles of a stored child: of one task, or of a group's members. What is neither is left out. */
function handlesOf(results: Results, child: unknown): readonly AsyncResult<unknown>[] {
  const node = readResultTuple(child);
  if (node === null) return [];
  return (node.children ?? [node]).map((one) => handleOf(results, one));
}
