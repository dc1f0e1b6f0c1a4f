/**
 * From a call to a message in the broker. Python: `Celery.send_task`, `celery/app/amqp.py`.
 *
 * The way of one send: plan (once for each task) -> message (`send-builder.ts`) -> publish; signals and middleware are looked at
 * only when somebody is connected.
 */
import type { Clock } from "../base/clock.ts";
import { Turns } from "../base/turns.ts";
import type { SendParent } from "../canvas/sender.ts";
import type { Call } from "../canvas/signature-host.ts";
import type { CallOptions, SplitOptions } from "../canvas/wire-options.ts";
import { EncodeError, PetioleError } from "../errors.ts";
import { type ResultNode, resultTuple, writeResultTuple } from "../protocol/result-tuple.ts";
import { currentExecution, type Execution } from "../task/current.ts";
import type { CallArguments } from "../task/kw.ts";
import type { QueueDeclaration, UniqueMessage } from "../transports/transport.ts";
import type { UniqueTerms } from "../transports/unique-locks.ts";
import type { ResolvedSettings } from "./internals.ts";
import type { Observer } from "./observer.ts";
import type { Batch, HandOver, Publisher } from "./publisher.ts";
import type { AsyncResult } from "./result-types.ts";
import type { Results } from "./results.ts";
import { type Built, type Send, SendBuilder } from "./send-builder.ts";
import type { Planner, SendPlan } from "./send-plan.ts";
import type { SentEvents } from "./sent-events.ts";

/** What the settings say about every send. */
export interface ProducerSettings {
  readonly conf: ResolvedSettings;
  readonly planner: Planner;
  /** `task_send_sent_event`; null: off. */
  readonly sentEvents: SentEvents | null;
}

export interface ProducerOptions {
  readonly clock: Clock;
  readonly publisher: Publisher;
  readonly results: Results;
  readonly observer: Observer;
  /** Loads a codec that the builder missed. */
  readonly loadCodec: (name: string) => Promise<void>;
}

const NO_OPTIONS: CallOptions = Object.freeze({});

export class Producer {
  readonly #clock: Clock;
  readonly #builder: SendBuilder;
  readonly #publisher: Publisher;
  readonly #results: Results;
  readonly #observer: Observer;
  readonly #loadCodec: (name: string) => Promise<void>;
  #sentEvents: SentEvents | null = null;

  constructor(options: ProducerOptions) {
    this.#clock = options.clock;
    this.#builder = new SendBuilder(options.clock);
    this.#publisher = options.publisher;
    this.#results = options.results;
    this.#observer = options.observer;
    this.#loadCodec = options.loadCodec;
  }

  /** The settings are final. Called once, before the first send. */
  configure(settings: ProducerSettings): void {
    this.#sentEvents = settings.sentEvents;
    this.#builder.configure(settings);
  }

  /** A send that the user makes: inside a task it inherits, and the task waits for it. */
  send(plan: SendPlan, call: CallArguments, options: CallOptions | undefined): Promise<AsyncResult<unknown>> {
    const execution = currentExecution();
    // Written out, here and below: a spread costs a microsecond.
    const send: Send = {
      plan,
      args: call.args,
      kwargs: call.kwargs,
      options: options ?? NO_OPTIONS,
      extra: null,
      embed: null,
      byUser: true,
      parent: execution === undefined ? null : execution.parent,
    };
    return execution === undefined ? this.produce(send) : this.#inTask(execution, send);
  }

  /** As {@link send}, with what only the wire knows. */
  sendCall(plan: SendPlan, call: Call): Promise<AsyncResult<unknown>> {
    const execution = currentExecution();
    const send: Send = {
      plan,
      args: call.args,
      kwargs: call.kwargs,
      options: call.options,
      extra: call.extra,
      embed: null,
      byUser: true,
      parent: execution === undefined ? null : execution.parent,
    };
    return execution === undefined ? this.produce(send) : this.#inTask(execution, send);
  }

  /** Published only where its key is free. Not made in a task. */
  sendOnce(plan: SendPlan, call: Call, once: UniqueTerms): Promise<AsyncResult<unknown>> {
    return this.produce({ ...call, plan, embed: null, byUser: true, parent: null, once });
  }

  /** A send that is made for a task by its worker, or by {@link send}. */
  async produce(send: Send): Promise<AsyncResult<unknown>> {
    this.#publisher.begin();
    try {
      let built: Built;
      try {
        built = this.#builder.build(send);
      } catch (error) {
        built = await this.#buildAgain(send, error);
      }
      if (built.unique !== null)
        return (await this.#publishUnique([send], [built]))[0] as AsyncResult<unknown>;
      const { outgoing, declaration, id } = built;
      if (this.#observer.active) {
        await this.#observer.publish({ send, built }, async (observed) => {
          await this.#publisher.publish(batchOf([observed], send.plan.task));
          this.#sentEvents?.sent(observed);
        });
      } else {
        const transport = this.#publisher.ready(declaration);
        if (transport === null) await this.#publisher.publish(batchOf([built], send.plan.task));
        else {
          const startedMs = this.#clock.monotonic();
          try {
            await transport.publish([outgoing], null);
          } catch (error) {
            await this.#publisher.recover(batchOf([built], send.plan.task), error, startedMs);
          }
        }
        this.#sentEvents?.sent(built);
      }
      return this.#results.handle(id, built.ignored);
    } finally {
      this.#publisher.end();
    }
  }

  /** Many sends in one round trip, in order. Nothing is sent when one of them cannot be built. */
  produceMany(
    calls: readonly (CallArguments & SplitOptions & { readonly plan: SendPlan })[],
  ): Promise<readonly AsyncResult<unknown>[]> {
    const execution = currentExecution();
    const parent = execution?.parent ?? null;
    const sent = this.produceAll(
      calls.map((call) => ({
        plan: call.plan,
        args: call.args,
        kwargs: call.kwargs,
        options: call.options,
        extra: call.extra,
        embed: null,
        byUser: true,
        parent,
      })),
    );
    if (execution === undefined) return sent;
    return keepPending(
      execution,
      sent.then((results) => {
        for (const result of results) execution.children.push(resultTuple(result.id));
        return results;
      }),
    );
  }

  /** `reply_to` of what this app sends. */
  get replyTo(): string {
    return this.#builder.replyTo;
  }

  /** A canvas that the user sends: as {@link send}. `sent` is noted once the broker has all of it. */
  canvas<T>(send: (parent: SendParent | null) => Promise<T>, sent: ResultNode): Promise<T> {
    const execution = currentExecution();
    if (execution === undefined) return send(null);
    return keepPending(
      execution,
      send(execution.parent).then((result) => {
        execution.children.push(writeResultTuple(sent));
        return result;
      }),
    );
  }

  /** Sends in one round trip, in order, as they are. */
  async produceAll(
    sends: readonly Send[],
    handOver: HandOver | null = null,
  ): Promise<readonly AsyncResult<unknown>[]> {
    if (sends.length === 0) return [];
    this.#publisher.begin();
    try {
      const built: Built[] = [];
      const turns = new Turns();
      for (const [index, send] of sends.entries()) {
        if (turns.isOver) await turns.next();
        try {
          built.push(this.#builder.build(send));
        } catch (error) {
          built.push(await this.#buildAgain(send, error).catch((failed: unknown) => atIndex(failed, index)));
        }
      }
      const task = sends[0]?.plan.task ?? "";
      if (built.some((one) => one.unique !== null)) return await this.#publishUnique(sends, built);
      if (this.#observer.active) {
        await this.#observer.publishMany(
          sends.map((send, index) => ({ send, built: built[index] as Built })),
          (observed) => this.#publishMany({ ...batchOf(observed, task), handOver }, observed),
        );
      } else await this.#publishMany({ ...batchOf(built, task), handOver }, built);
      return built.map((one) => this.#results.handle(one.id, one.ignored));
    } finally {
      this.#publisher.end();
    }
  }

  async #publishMany(batch: Batch, built: readonly Built[]): Promise<void> {
    await this.#publisher.publish(batch);
    if (this.#sentEvents !== null) for (const one of built) this.#sentEvents.sent(one);
  }

  /** Some have a key: what is not published for it is another call's. */
  async #publishUnique(
    sends: readonly Send[],
    built: readonly Built[],
  ): Promise<readonly AsyncResult<unknown>[]> {
    const task = sends[0]?.plan.task ?? "";
    const holders = new Map<string, string>();
    const publish = (observed: readonly Built[]): Promise<void> =>
      this.#publisher.publish({ ...batchOf(observed, task), unique: uniqueBatch(observed, holders) });
    if (this.#observer.active) {
      await this.#observer.publishMany(
        sends.map((send, index) => ({ send, built: built[index] as Built })),
        publish,
      );
    } else await publish(built);
    return built.map((one) => {
      const holder = holders.get(one.id) ?? one.id;
      if (holder === one.id) this.#sentEvents?.sent(one);
      return this.#results.handle(holder, one.ignored, holder !== one.id);
    });
  }

  #inTask(execution: Execution, send: Send): Promise<AsyncResult<unknown>> {
    return keepPending(execution, this.#recorded(execution, send));
  }

  async #recorded(execution: Execution, send: Send): Promise<AsyncResult<unknown>> {
    const result = await this.produce(send);
    execution.children.push(resultTuple(result.id));
    return result;
  }

  /** Once more, after the codec that was missing has been loaded. Any other error is the caller's. */
  async #buildAgain(send: Send, error: unknown): Promise<Built> {
    if (!(error instanceof EncodeError) || error.code !== "PET_CODEC_UNAVAILABLE" || error.codec === null)
      throw error;
    await this.#loadCodec(error.codec);
    return this.#builder.build(send);
  }
}

/**
 * The task waits for what it sent, also when its function did not. What succeeded is let go at once; a failure stays
 * for the worker to see.
 */
function keepPending<T>(execution: Execution, sent: Promise<T>): Promise<T> {
  execution.pending.add(sent);
  sent.then(
    () => execution.pending.delete(sent),
    () => {},
  );
  return sent;
}

function batchOf(built: readonly Built[], task: string): Batch {
  const declarations: QueueDeclaration[] = [];
  for (const { declaration } of built)
    if (declaration !== null && !declarations.includes(declaration)) declarations.push(declaration);
  const first = built[0] as Built;
  return {
    messages: built.filter((one) => one.unique === null).map((one) => one.outgoing),
    progress: { sent: 0 },
    unique: null,
    handOver: null,
    declarations,
    policy: first.policy,
    task,
    id: first.id,
  };
}

/** The members with a key; who holds each of them is written into `holders`. */
function uniqueBatch(built: readonly Built[], holders: Map<string, string>): Batch["unique"] {
  const messages = built.flatMap(({ id, outgoing, unique }): UniqueMessage[] =>
    unique === null ? [] : [{ id, outgoing, ...unique }],
  );
  return {
    messages,
    onHolders: (ids) => messages.forEach(({ id }, index) => holders.set(id, ids[index] ?? id)),
  };
}

/** Names the member that cannot be sent; the error keeps its kind. */
export function atIndex(error: unknown, index: number): never {
  if (error instanceof EncodeError) {
    throw new EncodeError(`member ${index}: ${error.message}`, { cause: error, code: error.code });
  }
  if (error instanceof PetioleError) {
    throw new PetioleError(error.code, `member ${index}: ${error.message}`, { cause: error });
  }
  throw error instanceof TypeError
    ? new TypeError(`member ${index}: ${error.message}`, { cause: error })
    : error;
}
