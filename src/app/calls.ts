/**
 * Every call that a user can make: of a task, of a name, of a signature; to the broker, or here and now. Python:
 * `Task.apply_async`, `Celery.send_task`, `Signature.apply_async`.
 */
import { uuid4 } from "../base/uuid.ts";
import { chunked, groupData, mapData } from "../canvas/data.ts";
import type { Given } from "../canvas/plan.ts";
import { CanvasSignature, makeSignature, signatureFromData, TaskSignature } from "../canvas/signature.ts";
import type { Call, CanvasCall, SignatureHost } from "../canvas/signature-host.ts";
import { type CallOptions, joinWireOptions } from "../canvas/wire-options.ts";
import type { SignatureData } from "../protocol/wire.ts";
import { type CallArguments, splitArguments, withKwargs } from "../task/kw.ts";
import type { OnCommitSendOptions, SendOptions } from "../task/send-types.ts";
import type { MapOf, TaskHost } from "../task/task.ts";
import type { Celery } from "./app.ts";
import { type CanvasHost, planned, sendCanvas } from "./canvas.ts";
import type { Eager, EagerCall } from "./eager.ts";
import type { AppInternals, PeriodicRun } from "./internals.ts";
import { afterCommit } from "./on-commit.ts";
import { evaluated, type PeriodicTask } from "./periodic.ts";
import { atIndex, type Producer } from "./producer.ts";
import type { AsyncResult } from "./result-types.ts";
import type { Results } from "./results.ts";
import type { Planner, SendPlan } from "./send-plan.ts";

/** Options of `sendTask` and `signature`. */
export type NamedOptions = SendOptions & { readonly kwargs?: Readonly<Record<string, unknown>> | undefined };

/** What calls need of their app. */
export interface CallHost extends AppInternals {
  readonly producer: Producer;
  readonly results: Results;
  /** null: the app is not in use yet. */
  readonly planner: Planner | null;
  /** `task_always_eager`. Known when the app is in use. */
  readonly alwaysEager: boolean;
  /** Puts the app to use. null: it is. */
  prepare(): Promise<void> | null;
  /** The app is in use. */
  plan(task: string, bare: boolean): SendPlan;
  /** The task has an `input` schema. Known before the app is in use. */
  takesKeywords(task: string): boolean;
}

const NO_OPTIONS: CallOptions = Object.freeze({});
const NO_ARGUMENTS: CallArguments = Object.freeze({ args: [], kwargs: {} });

export class Calls implements TaskHost, SignatureHost {
  readonly #host: CallHost;
  /** Loaded when it is first needed. */
  #eager: Promise<Eager> | null = null;

  constructor(host: CallHost) {
    this.#host = host;
  }

  appOf(): Celery {
    return this.#host.app;
  }

  // ---- sending ----

  send(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    // The way of every `delay`: no promise of its own, and no turn in which a later one could overtake it.
    try {
      if (this.#host.planner === null && this.#host.prepare() !== null)
        return this.#sendSlowly(task, given, options);
      if (options?.validate === true) return this.#sendSlowly(task, given, options);
      const plan = this.#host.plan(task, false);
      const call = splitArguments(task, given, plan.input !== null);
      if (this.#host.alwaysEager && plan.registered) return this.#applyEagerly(task, call, options);
      return this.#host.producer.send(plan, call, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  async #sendSlowly(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    const plan = this.#host.plan(task, false);
    const call = splitArguments(task, given, plan.input !== null);
    const definition = this.#host.registry.get(task);
    if (options?.validate === true && definition !== undefined) {
      const { validateInput } = await import("./validate.ts");
      await validateInput(definition, call);
    }
    if (this.#host.alwaysEager && plan.registered) return this.#applyEagerly(task, call, options);
    return this.#host.producer.send(plan, call, options);
  }

  sendOnCommit(
    task: string,
    given: readonly unknown[],
    options: OnCommitSendOptions | undefined,
  ): AsyncResult<unknown> {
    // What cannot be the task's arguments is told here: later nobody listens.
    this.split(task, given);
    const { robust, ...others } = options ?? {};
    const id = others.taskId ?? uuid4();
    afterCommit({
      run: () => this.send(task, given, { ...others, taskId: id }),
      robust: robust !== false,
      failed: (err) =>
        this.#host.logger.error({ task, id, err }, "a task that waited for a commit could not be sent"),
    });
    return this.result(task, id);
  }

  async sendMany(
    task: string,
    calls: readonly (readonly unknown[])[],
  ): Promise<readonly AsyncResult<unknown>[]> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    const plan = this.#host.plan(task, false);
    const split = calls.map((given, index) => {
      try {
        return splitArguments(task, given, plan.input !== null);
      } catch (error) {
        return atIndex(error, index);
      }
    });
    if (this.#host.alwaysEager && plan.registered)
      return this.#applyAll(split.map((call) => ({ task, ...call, options: NO_OPTIONS })));
    return this.#host.producer.produceMany(
      split.map(({ args, kwargs }) => ({ plan, args, kwargs, options: NO_OPTIONS, extra: null })),
    );
  }

  /** By name alone, as Celery's `send_task`: options of a task that is registered here do not count. */
  async sendNamed(
    task: string,
    given: readonly unknown[],
    options: NamedOptions,
  ): Promise<AsyncResult<unknown>> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    const { kwargs, ...rest } = options;
    const call = withKwargs(task, splitArguments(task, given, false), kwargs);
    return this.#host.producer.send(this.#host.plan(task, true), call, rest);
  }

  /** Signatures in one round trip; each canvas among them takes one of its own. */
  async sendSignatures(
    signatures: readonly (TaskSignature | CanvasSignature)[],
  ): Promise<readonly AsyncResult<unknown>[]> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    if (signatures.some((one) => one instanceof CanvasSignature))
      return Promise.all(signatures.map((one) => one.applyAsync([])));
    const calls = (signatures as readonly TaskSignature[]).map((signature) => signature.merge([]));
    if (this.#host.alwaysEager) return this.#applyAll(calls);
    return this.#host.producer.produceMany(
      calls.map(({ task, args, kwargs, options, extra }) => ({
        plan: this.#host.plan(task, false),
        args,
        kwargs,
        options,
        extra,
      })),
    );
  }

  async sendCall(call: Call): Promise<AsyncResult<unknown>> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    const plan = this.#host.plan(call.task, false);
    if (this.#host.alwaysEager && plan.registered) return this.applyCall(call);
    return this.#host.producer.sendCall(plan, call);
  }

  /** A canvas is sent without the key: what it is made of has ids of its own. */
  async sendPeriodic(task: PeriodicTask, run: PeriodicRun): Promise<AsyncResult<unknown>> {
    const { id, key, keyMs, claim } = run;
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    const options = { ...task.options, taskId: task.options.taskId ?? id };
    const { signature } = task;
    if (signature instanceof CanvasSignature) return signature.applyAsync([], options);
    const parts = { task: task.task, ...(signature === null ? evaluated(task) : NO_ARGUMENTS) };
    const call = (
      signature instanceof TaskSignature ? signature : makeSignature(this, parts, { immutable: true })
    ).merge([], options);
    const plan = this.#host.plan(call.task, false);
    if (this.#host.alwaysEager && plan.registered) return this.applyCall(call);
    const unique = { key, ttlMs: keyMs, until: "done" } as const;
    return this.#host.producer.sendOnce(plan, call, {
      unique,
      replace: false,
      debounceMs: 0,
      maxWaitMs: null,
      claim,
    });
  }

  async sendCanvas(signature: SignatureData, call: CanvasCall): Promise<AsyncResult<unknown>> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    if (this.#host.alwaysEager) return this.applyCanvas(signature, call);
    const host = this.#canvasHost;
    const plan = await planned(host, { signature, given: givenOf(signature, call) });
    return sendCanvas(host, plan);
  }

  async addToChord(
    signature: SignatureData,
    group: string,
    newId: () => string,
  ): Promise<AsyncResult<unknown>> {
    const host = this.#canvasHost;
    const plan = await planned(host, { signature, given: { args: [], kwargs: {}, options: {} } }, newId);
    await this.#host.results.extendChord(group, plan.result.id);
    return sendCanvas(host, plan);
  }

  get #canvasHost(): CanvasHost {
    const host = this.#host;
    return { producer: host.producer, results: host.results, plan: (task) => host.plan(task, false) };
  }

  // ---- signatures ----

  split(task: string, given: readonly unknown[]): CallArguments {
    return splitArguments(task, given, this.#host.takesKeywords(task));
  }

  sign(task: string, given: readonly unknown[], immutable: boolean): TaskSignature {
    const { args, kwargs } = this.split(task, given);
    return makeSignature(this, { task, args, kwargs }, { immutable });
  }

  signMap(task: string, map: MapOf): TaskSignature | CanvasSignature {
    const called = this.sign(task, [], false).toJSON();
    if (map.kind !== "chunks") return signatureFromData(this, mapData(map.kind, called, map.items));
    return signatureFromData(this, groupData(chunked(called, map.items, map.size)));
  }

  signNamed(task: string, given: readonly unknown[], options: NamedOptions): TaskSignature {
    const { kwargs, ...rest } = options;
    const call = withKwargs(task, this.split(task, given), kwargs);
    return makeSignature(
      this,
      { task, args: call.args, kwargs: call.kwargs },
      { immutable: false, options: rest },
    );
  }

  // ---- here and now ----

  async #hereAndNow(): Promise<Eager> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    this.#eager ??= import("./eager.ts").then((module) => new module.Eager(this.#host, this.#host.results));
    return this.#eager;
  }

  async #applyEagerly(
    task: string,
    call: CallArguments,
    options: CallOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    const eager = await this.#hereAndNow();
    return eager.apply({ task, args: call.args, kwargs: call.kwargs, options: options ?? NO_OPTIONS });
  }

  async #applyAll(calls: readonly EagerCall[]): Promise<readonly AsyncResult<unknown>[]> {
    const eager = await this.#hereAndNow();
    return eager.applyMany(calls);
  }

  async run(task: string, given: readonly unknown[]): Promise<unknown> {
    const eager = await this.#hereAndNow();
    return eager.run(task, this.split(task, given));
  }

  async apply(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>> {
    return this.#applyEagerly(task, this.split(task, given), options);
  }

  async applyCall(call: Call): Promise<AsyncResult<unknown>> {
    const eager = await this.#hereAndNow();
    return eager.apply(call);
  }

  async applyCanvas(signature: SignatureData, call: CanvasCall): Promise<AsyncResult<unknown>> {
    const eager = await this.#hereAndNow();
    return eager.applyCanvas(signature, givenOf(signature, call));
  }

  // ---- results ----

  result(task: string, id: string): AsyncResult<unknown> {
    const { planner, results } = this.#host;
    return results.handle(id, planner !== null && planner.plan(task, false).ignoreResult);
  }
}

/** What a call adds to a canvas, by wire names. */
function givenOf(signature: SignatureData, { args, options }: CanvasCall): Given {
  const call = splitArguments(signature.task, args, false);
  return { ...call, options: options === undefined ? {} : joinWireOptions(options, null) };
}
