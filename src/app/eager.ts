/**
 * Tasks here and now: `run`, `apply`, and the setting `task_always_eager`. Python: `Task.apply`. It is not the way of the
 * wire: nothing is encoded, retries do not wait, time limits do not count, callbacks run here too.
 */
import { hostname } from "node:os";
import type { ResultBackend } from "../backends/backend.ts";
import { assertNever } from "../base/assert-never.ts";
import { uuid4 } from "../base/uuid.ts";
import { bodyOf, headerOf, kindOf, tasksOf } from "../canvas/data.ts";
import type { Given } from "../canvas/plan.ts";
import { marksOf, stampAll } from "../canvas/stamp.ts";
import { type CallOptions, linkedList, type WireExtra } from "../canvas/wire-options.ts";
import { NotRegistered, type RemoteError } from "../errors.ts";
import { decodeException, encodeException, errorFrom } from "../protocol/exceptions.ts";
import { toIso } from "../protocol/iso8601.ts";
import type { JobPort, LazyAbort, Outcome } from "../protocol/job.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { ResultMeta, SignatureData } from "../protocol/wire.ts";
import { requestData, TaskExecution } from "../task/context.ts";
import { currentExecution } from "../task/current.ts";
import type { TaskDefinition } from "../task/definition.ts";
import { callDirectly, executeJob } from "../task/execute.ts";
import type { CallArguments } from "../task/kw.ts";
import { applyCanvas } from "./eager-canvas.ts";
import { GroupHandle } from "./group-result.ts";
import type { AppInternals } from "./internals.ts";
import { tupleOf } from "./result-tuples.ts";
import type { AsyncResult } from "./result-types.ts";
import type { Results } from "./results.ts";

/** One call in eager mode. */
export interface EagerCall extends CallArguments {
  readonly task: string;
  readonly options: CallOptions;
  readonly extra?: WireExtra | null;
}

/** Nothing revokes or limits an eager task. */
const NEVER: LazyAbort = { signal: new AbortController().signal, aborted: false, abort: () => {} };

export class Eager {
  readonly #app: AppInternals;
  readonly #results: Results;

  constructor(app: AppInternals, results: Results) {
    this.#app = app;
    this.#results = results;
  }

  /** Just the function. */
  run(task: string, call: CallArguments): Promise<unknown> {
    return callDirectly(this.#app, this.#definition(task), call);
  }

  async applyMany(calls: readonly EagerCall[]): Promise<readonly AsyncResult<unknown>[]> {
    const results: AsyncResult<unknown>[] = [];
    for (const call of calls) results.push(await this.apply(call));
    return results;
  }

  /** Runs it to its end, retries included, then its callbacks. */
  async apply(call: EagerCall): Promise<AsyncResult<unknown>> {
    const definition = this.#definition(call.task);
    const callbacks = this.#local(call.options.link);
    const errbacks = this.#local(call.options.linkError);
    const id = call.options.taskId ?? uuid4();
    const { conf } = this.#app;
    const backend = conf.taskStoreEagerResult === true ? await this.#results.backend() : null;
    const { execution, outcome: ended } = await this.#toEnd({ id, call, definition, backend });
    const outcome = ended.kind === "replaced" ? await this.#replaced(ended, id, call) : ended;
    const meta = this.#metaOf(id, outcome);
    if (meta.status === "SUCCESS") {
      const children = [...(meta.children ?? [])];
      for (const callback of callbacks) {
        const sent = await this.applyCanvas(callback, partial([meta.result], id));
        children.push(tupleOf(sent));
      }
    }
    if (backend !== null) await backend.store(backend.encode(meta), null);
    if (meta.status === "FAILURE") {
      const info = decodeException(meta.result, meta.traceback);
      for (const errback of errbacks) await this.#errback(errback, execution, errorFrom(info));
      if (conf.taskEagerPropagates === true) throw asError(execution.thrown) ?? errorFrom(info);
    }
    const ignored = meta.status === "IGNORED" || meta.status === "REJECTED";
    return this.#results.settled(meta, { ignored, stored: backend !== null });
  }

  /** What the other signature comes to. */
  async #replaced(
    { signature, children }: Outcome & { readonly kind: "replaced" },
    id: string,
    { extra }: EagerCall,
  ): Promise<Outcome> {
    const given = readSignature(signature, "the replacement");
    const other = extra?.stamps === undefined ? given : stampAll(given, marksOf(extra.stamps));
    const ended = await (await this.applyCanvas(other, partial([], id))).outcome();
    if (ended.state === "SUCCESS") return { kind: "success", value: ended.result, runtimeMs: 0, children };
    const { type, module, args, remoteTraceback: traceback } = ended.error;
    return {
      kind: "failure",
      error: { type, module, args, traceback },
      expected: false,
      runtimeMs: 0,
      children,
    };
  }

  /** A canvas: chains, groups and chords of tasks that are known here. */
  applyCanvas(signature: SignatureData, given: Given): Promise<AsyncResult<unknown>> {
    this.#requireKnown(signature);
    const group = (results: readonly AsyncResult<unknown>[]): AsyncResult<unknown> =>
      new GroupHandle(this.#results, { id: uuid4(), parent: null, results });
    return applyCanvas({ apply: (call) => this.apply(call), group }, signature, given);
  }

  /** Every task that is to run. Said before the first one does. */
  #requireKnown(signature: SignatureData): void {
    switch (kindOf(signature)) {
      case "chain":
      case "group":
        for (const task of tasksOf(signature)) this.#requireKnown(task);
        break;
      case "chord":
        this.#requireKnown(headerOf(signature));
        this.#requireKnown(bodyOf(signature));
        break;
      case "chunks":
        break;
      case "task":
        this.#definition(signature.task);
    }
  }

  /** Attempt after attempt, at once. */
  async #toEnd(run: {
    readonly id: string;
    readonly call: EagerCall;
    readonly definition: TaskDefinition;
    readonly backend: ResultBackend | null;
  }): Promise<{ execution: TaskExecution; outcome: Outcome }> {
    const { id, call, definition, backend } = run;
    let { args, kwargs } = call;
    const port: JobPort = {
      onStart: () => {},
      // No worker runs it: there is nobody whose events monitors would know.
      sendEvent: () => {},
      updateState: async (state, meta) => {
        if (backend === null) return;
        await backend
          .store(backend.encode({ ...this.#blank(id), status: state, result: meta }), null)
          .catch((error: unknown) =>
            this.#app.logger.error({ task: call.task, id, err: error }, "a state could not be stored"),
          );
      },
    };
    for (let retries = 0; ; retries += 1) {
      const request = this.#request(id, { ...call, args, kwargs }, retries);
      const job = {
        id,
        task: call.task,
        args,
        kwargs,
        request,
        softTimeLimitMs: null,
        timeLimitMs: null,
      };
      const execution = new TaskExecution(this.#app, definition, job).on(port, NEVER);
      const outcome = await executeJob(execution);
      if (outcome.kind !== "retry") return { execution, outcome };
      const { overrides } = outcome;
      args = (overrides["args"] as readonly unknown[] | undefined) ?? args;
      kwargs = (overrides["kwargs"] as Readonly<Record<string, unknown>> | undefined) ?? kwargs;
    }
  }

  #request(id: string, call: EagerCall, retries: number): Readonly<Record<string, unknown>> {
    const { options, extra } = call;
    const parent = currentExecution()?.parent;
    return requestData({
      id,
      task: call.task,
      args: call.args,
      kwargs: call.kwargs,
      retries,
      rootId: options.rootId ?? parent?.rootId ?? id,
      parentId: options.parentId ?? parent?.id ?? null,
      groupId: options.groupId ?? null,
      groupIndex: options.groupIndex ?? null,
      ignoreResult: options.ignoreResult ?? false,
      shadow: options.shadow ?? null,
      headers: options.headers ?? {},
      stamps: extra?.stamps ?? {},
      stampedHeaders: extra?.stampedHeaders ?? [],
      hostname: hostname(),
      isEager: true,
    });
  }

  #metaOf(id: string, outcome: Outcome): ResultMeta {
    const blank = this.#blank(id);
    const dateDone = toIso(this.#app.clock.now());
    switch (outcome.kind) {
      case "success":
        return { ...blank, status: "SUCCESS", result: outcome.value, children: outcome.children, dateDone };
      case "failure": {
        const { error } = outcome;
        const result = encodeException(error);
        const { traceback } = error;
        return { ...blank, status: "FAILURE", result, traceback, children: outcome.children, dateDone };
      }
      case "rejected":
        return { ...blank, status: "REJECTED" };
      case "ignored":
        return { ...blank, status: "IGNORED" };
      // Of a worker's pool, or of `#toEnd`: no eager run ends so.
      case "retry":
      case "replaced":
      case "terminated":
      case "timed-out":
      case "lost":
        throw new TypeError(`an eager task cannot end as ${outcome.kind}`);
      default:
        return assertNever(outcome);
    }
  }

  #blank(id: string): ResultMeta {
    return {
      taskId: id,
      status: "PENDING",
      result: null,
      traceback: null,
      children: [],
      dateDone: null,
      extra: {},
    };
  }

  /** Old-style errbacks get the id, those of `app.errback` request, error and traceback. */
  async #errback(errback: SignatureData, execution: TaskExecution, error: RemoteError): Promise<void> {
    const definition = kindOf(errback) === "task" ? this.#definition(errback.task) : null;
    const { job } = execution;
    if (definition === null || definition.errbackStyle === "id") {
      await this.applyCanvas(errback, partial([job.id], job.id));
      return;
    }
    const args = [execution.context.request, error, error.remoteTraceback ?? ""];
    try {
      await callDirectly(this.#app, definition, { args: [...args, ...errback.args], kwargs: errback.kwargs });
    } catch (failed) {
      this.#app.logger.error({ task: errback.task, id: job.id, err: failed }, "an errback failed");
    }
  }

  /** Callbacks run here: they must be known here. Checked before the task runs. */
  #local(linked: CallOptions["link"]): readonly SignatureData[] {
    const all = linkedList(linked) ?? [];
    for (const one of all) this.#requireKnown(one);
    return all;
  }

  #definition(task: string): TaskDefinition {
    const found = this.#app.registry.get(task);
    if (found === undefined) throw new NotRegistered(task);
    return found;
  }
}

function asError(thrown: unknown): Error | null {
  return thrown instanceof Error ? thrown : null;
}

function partial(args: readonly unknown[], parentId: string): Given {
  return { args, kwargs: {}, options: { parent_id: parentId } };
}
