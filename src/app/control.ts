/**
 * `app.control`: requests to workers, over a connection of its own that opens with the first one. Python:
 * `celery/app/control.py`.
 */
import { setMaxListeners } from "node:events";
import type { Clock } from "../base/clock.ts";
import type { LamportClock } from "../base/lamport-clock.ts";
import type { Logger } from "../base/logger.ts";
import { OperationalError, PetioleError } from "../errors.ts";
import { pidboxNames } from "../protocol/pidbox.ts";
import type { Limits } from "../protocol/wire.ts";
import type { Revocations } from "../statedb/state-db.ts";
import type { LimitState, QueueDeclaration, Transport } from "../transports/transport.ts";
import { type AskContext, ask, byNode, type Question, tell } from "./control-ask.ts";
import {
  CONTROL_COMMANDS,
  type ControlCommandOptions,
  type ControlHandler,
  type OwnCommand,
  ownCommandInfo,
} from "./control-commands.ts";
import { Inspector } from "./control-inspect.ts";
import { type PausedQueueInfo, pausedQueues, queueNames } from "./control-queues.ts";
import type {
  Control,
  ControlOptions,
  ControlReply,
  Inspect,
  LimitInfo,
  Replies,
  TaskSelector,
} from "./control-types.ts";
import type { ResolvedSettings } from "./internals.ts";
import type { RevokeOptions } from "./result-types.ts";
import { notShared, type SharedRevokes } from "./shared-revokes.ts";

/** What remote control needs of its app. */
export interface ControlHost {
  readonly clock: Clock;
  readonly lamport: LamportClock;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly conf: ResolvedSettings;
  readonly revokes: SharedRevokes;
  /** Puts the app to use. null: it is. */
  prepare(): Promise<void> | null;
  openTransport(role: "producer"): Promise<Transport>;
  consumedQueues(select: readonly string[], exclude: readonly string[]): readonly QueueDeclaration[];
  loadCodec(name: string): Promise<void>;
}

/** Options with how replies are seen as they come: for the command line. */
export type RawOptions = ControlOptions & {
  readonly onReply?: ((node: string, reply: unknown) => void) | undefined;
  /** How many workers hear it, where the broker says. */
  readonly onHeard?: ((workers: number) => void) | undefined;
};

const DEFAULT_TIMEOUT_SECONDS = 1;

/** The one implementation of {@link Control}. */
export class ControlClient implements Control {
  /** Of `command`. */
  readonly commands: Map<string, OwnCommand> = new Map();
  readonly #host: ControlHost;
  #opening: Promise<Transport> | null = null;
  #closed = false;
  readonly #abort = new AbortController();

  constructor(host: ControlHost) {
    this.#host = host;
    // One listener per question that waits for its replies: as many as there are.
    setMaxListeners(0, this.#abort.signal);
  }

  // ---- asking

  async broadcast(
    command: string,
    args: Readonly<Record<string, unknown>> = {},
    options: RawOptions = {},
  ): Promise<Replies<unknown>> {
    const { logger } = this.#host;
    return byNode(await this.replies(command, args, options), (node) =>
      logger.warn({ node }, "several workers replied under one node name: give each its own with -n"),
    );
  }

  /** As {@link broadcast}: every reply, in the order they came. */
  async replies(
    command: string,
    args: Readonly<Record<string, unknown>>,
    options: RawOptions,
  ): Promise<readonly (readonly [node: string, reply: unknown])[]> {
    const context = await this.#context();
    const destination = options.destination ?? null;
    const question: Question = {
      method: command,
      arguments: args,
      destination,
      pattern: options.pattern ?? null,
      matcher: options.matcher ?? null,
      timeoutMs: (options.timeout ?? DEFAULT_TIMEOUT_SECONDS) * 1000,
      onHeard: options.onHeard,
    };
    if (options.reply !== true) {
      await tell(context, question);
      return [];
    }
    const limit =
      options.limit ?? (destination !== null && destination.length > 0 ? destination.length : null);
    const { onReply } = options;
    return ask(context, question, { limit, signal: this.#abort.signal, ...(onReply ? { onReply } : {}) });
  }

  inspect(options: ControlOptions = {}): Inspect {
    return new Inspector(
      (command, args) => this.broadcast(command, args, { ...options, reply: true }),
      this.#host.logger,
    );
  }

  #send(
    command: string,
    args: Readonly<Record<string, unknown>>,
    options: RawOptions | undefined,
  ): Promise<Replies<ControlReply>> {
    return this.broadcast(command, args, options) as Promise<Replies<ControlReply>>;
  }

  // ---- tasks

  async revoke(
    taskId: string | readonly string[],
    options: ControlOptions & Omit<RevokeOptions, "wait"> = {},
  ): Promise<Replies<ControlReply>> {
    const { terminate = false, signal = "SIGTERM" } = options;
    const ids = typeof taskId === "string" ? [taskId] : taskId;
    return this.#shared({ ids, stamps: [] }, options, (told) =>
      this.#send("revoke", { task_id: taskId, terminate, signal }, told),
    );
  }

  terminate(
    taskId: string | readonly string[],
    options: ControlOptions & { readonly signal?: NodeJS.Signals | undefined } = {},
  ): Promise<Replies<ControlReply>> {
    return this.revoke(taskId, { ...options, terminate: true });
  }

  revokeByStampedHeaders(
    headers: Readonly<Record<string, string | readonly string[]>>,
    options: ControlOptions & Omit<RevokeOptions, "wait"> = {},
  ): Promise<Replies<ControlReply>> {
    const { terminate = false, signal = "SIGTERM" } = options;
    const stamps = Object.entries(headers).flatMap(([name, values]) =>
      (typeof values === "string" ? [values] : values).map((value) => JSON.stringify([name, value])),
    );
    return this.#shared({ ids: [], stamps }, options, (told) =>
      this.#send("revoke_by_stamped_headers", { headers, terminate, signal }, told),
    );
  }

  /** What is meant for some workers only is not shared. Workers are told, whether or not it could be written. */
  async #shared<T>(
    revoked: Revocations,
    options: ControlOptions,
    tellWorkers: (options: RawOptions) => Promise<T>,
  ): Promise<T> {
    const { destination, pattern } = options;
    if ((destination !== undefined && destination.length > 0) || pattern) return tellWorkers(options);
    await this.#host.prepare();
    let failure: unknown = null;
    const written = await this.#host.revokes.write(revoked).catch((error: unknown) => {
      if (!(error instanceof OperationalError)) throw error;
      failure = error;
      return false;
    });
    const heard: { by: number | null } = { by: null };
    const onHeard = (workers: number): void => {
      heard.by = workers;
    };
    const replies = await tellWorkers({ ...options, onHeard });
    // Workers mark what they hear of; with none of them this is left to us.
    if (written && revoked.ids.length > 0 && (heard.by ?? (await this.#bound())) === 0) {
      await this.#host.revokes.markRevoked(revoked.ids);
    }
    if (failure !== null) throw notShared(failure);
    return replies;
  }

  /** Workers, of which some may have died without a word: for brokers that do not say who hears. */
  async #bound(): Promise<number> {
    const { transport, names } = await this.#context();
    return (await transport.bindings(names.exchange)).length;
  }

  rateLimit(
    task: TaskSelector,
    rateLimit: string | number,
    options?: ControlOptions,
  ): Promise<Replies<ControlReply>> {
    return this.#send("rate_limit", { task_name: nameOf(task), rate_limit: rateLimit }, options);
  }

  timeLimit(
    task: TaskSelector,
    limits: { readonly soft?: number | undefined; readonly hard?: number | undefined },
    options?: ControlOptions,
  ): Promise<Replies<ControlReply>> {
    const { soft = null, hard = null } = limits;
    return this.#send("time_limit", { task_name: nameOf(task), hard, soft }, options);
  }

  // ---- workers

  addConsumer(
    queue: string,
    options: ControlOptions & {
      readonly exchange?: string | undefined;
      readonly exchangeType?: string | undefined;
      readonly routingKey?: string | undefined;
    } = {},
  ): Promise<Replies<ControlReply>> {
    const { exchange = null, exchangeType = "direct", routingKey = null } = options;
    const args = { queue, exchange, exchange_type: exchangeType, routing_key: routingKey };
    return this.#send("add_consumer", args, options);
  }

  cancelConsumer(queue: string, options?: ControlOptions): Promise<Replies<ControlReply>> {
    return this.#send("cancel_consumer", { queue }, options);
  }

  enableEvents(options?: ControlOptions): Promise<Replies<ControlReply>> {
    return this.#send("enable_events", {}, options);
  }

  disableEvents(options?: ControlOptions): Promise<Replies<ControlReply>> {
    return this.#send("disable_events", {}, options);
  }

  poolGrow(n = 1, options?: ControlOptions): Promise<Replies<ControlReply>> {
    return this.#send("pool_grow", { n }, options);
  }

  poolShrink(n = 1, options?: ControlOptions): Promise<Replies<ControlReply>> {
    return this.#send("pool_shrink", { n }, options);
  }

  poolRestart(
    options: ControlOptions & {
      readonly modules?: readonly string[] | undefined;
      readonly reload?: boolean | undefined;
    } = {},
  ): Promise<Replies<ControlReply>> {
    const { modules = null, reload = false } = options;
    return this.#send("pool_restart", { modules, reload, reloader: null }, options);
  }

  autoscale(max: number, min: number, options?: ControlOptions): Promise<Replies<ControlReply>> {
    return this.#send("autoscale", { max, min }, options);
  }

  async heartbeat(options?: ControlOptions): Promise<void> {
    await this.broadcast("heartbeat", {}, { ...options, reply: false });
  }

  async shutdown(options?: ControlOptions): Promise<void> {
    await this.broadcast("shutdown", {}, { ...options, reply: false });
  }

  ping(options?: ControlOptions): Promise<Replies<{ readonly ok: "pong" }>> {
    const asked = { reply: true, ...options };
    return this.broadcast("ping", {}, asked) as Promise<Replies<{ readonly ok: "pong" }>>;
  }

  async purge(): Promise<number> {
    const { transport } = await this.#context();
    let deleted = 0;
    for (const { name } of this.#host.consumedQueues([], [])) deleted += await transport.purge(name);
    return deleted;
  }

  async pauseQueue(queue: string | readonly string[]): Promise<void> {
    const names = queueNames(queue, "pauseQueue");
    await (await this.#context()).transport.paused.pause(names);
  }

  async resumeQueue(queue: string | readonly string[]): Promise<void> {
    const names = queueNames(queue, "resumeQueue");
    await (await this.#context()).transport.paused.resume(names);
  }

  async pausedQueues(): Promise<readonly PausedQueueInfo[]> {
    return pausedQueues((await this.#context()).transport);
  }

  async limits(): Promise<readonly LimitInfo[]> {
    const { transport } = await this.#context();
    return (await transport.readLimits()).map(limitInfo);
  }

  // ---- commands of the app's own

  command(name: string, optionsOrRun: ControlCommandOptions | ControlHandler, fn?: ControlHandler): void {
    const options = typeof optionsOrRun === "function" ? {} : optionsOrRun;
    const run = typeof optionsOrRun === "function" ? optionsOrRun : fn;
    if (typeof name !== "string" || !/^[A-Za-z_][\w.]*$/.test(name) || typeof run !== "function") {
      throw new PetioleError(
        "PET_USAGE",
        'app.control.command takes a name of letters, digits and "_", options if any, and a function',
      );
    }
    const taken = [...CONTROL_COMMANDS.values()].some((info) => info.name === name || info.alias === name);
    if (taken) {
      throw new PetioleError("PET_USAGE", `the control command ${name} is Celery's own: choose another name`);
    }
    this.commands.set(name, { info: ownCommandInfo(name, options), run });
  }

  // ---- connection

  async close(): Promise<void> {
    this.#closed = true;
    this.#abort.abort();
    const transport = await this.#opening?.catch(() => null);
    this.#opening = null;
    await transport?.stop();
  }

  async #context(): Promise<AskContext> {
    const { clock, lamport, logger, limits } = this.#host;
    await this.#host.prepare();
    const { conf } = this.#host;
    const transport = await this.#opened();
    return {
      transport,
      names: pidboxNames(conf.controlExchange ?? "celery"),
      clock,
      lamport,
      logger,
      accept: conf.acceptContent ?? ["json"],
      serializer: conf.taskSerializer ?? "json",
      limits,
    };
  }

  #opened(): Promise<Transport> {
    if (this.#closed) return Promise.reject(closed());
    if (this.#opening !== null) return this.#opening;
    const opening = this.#open();
    this.#opening = opening;
    opening.catch(() => {
      if (this.#opening === opening) this.#opening = null;
    });
    return opening;
  }

  async #open(): Promise<Transport> {
    const serializer = this.#host.conf.taskSerializer ?? "json";
    if (serializer !== "json") await this.#host.loadCodec(serializer);
    const transport = await this.#host.openTransport("producer");
    try {
      await transport.start(this.#abort.signal);
    } catch (error) {
      await transport.stop().catch(() => {});
      throw this.#closed ? closed() : error;
    }
    return transport;
  }
}

export function limitInfo({ waiters, freeAtMs, ...rest }: LimitState): LimitInfo {
  return {
    ...rest,
    waiters: waiters.map(({ id, sinceMs, untilMs }) => ({
      id,
      since: new Date(sinceMs),
      until: untilMs === null ? null : new Date(untilMs),
    })),
    freeAt: freeAtMs === null ? null : new Date(freeAtMs),
  };
}

function closed(): PetioleError {
  return new PetioleError("PET_CLOSED", "the app was closed: it controls nothing any more");
}

function nameOf(task: TaskSelector): string {
  return typeof task === "string" ? task : task.name;
}
