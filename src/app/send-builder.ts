/**
 * From a call to its message, encoded. Python: `celery/app/amqp.py`.
 *
 * Options of the call win over the task's own, those over its route, those over the settings.
 */
import { hostname } from "node:os";
import type { Clock } from "../base/clock.ts";
import { localZone } from "../base/time-zone.ts";
import { uuid4 } from "../base/uuid.ts";
import type { SendParent } from "../canvas/sender.ts";
import { type CallOptions, linkedList, messageProperties, type WireExtra } from "../canvas/wire-options.ts";
import { EncodeError, PetioleError } from "../errors.ts";
import { encodeTask } from "../protocol/message.ts";
import type { OutgoingTask, TaskEmbed } from "../protocol/wire.ts";
import type { CallArguments } from "../task/kw.ts";
import type { Outgoing, QueueDeclaration } from "../transports/transport.ts";
import { UNIQUE_HEADER, type UniqueTerms } from "../transports/unique-locks.ts";
import type { ResolvedSettings } from "./internals.ts";
import type { PublishPolicy } from "./publish-retry.ts";
import type { Planner, SendPlan } from "./send-plan.ts";
import { etaText, expiresText, type TimeContext } from "./times.ts";
import { uniqueTerms } from "./unique.ts";

/** One send, before it is encoded. */
export interface Send extends CallArguments {
  readonly plan: SendPlan;
  readonly options: CallOptions;
  readonly extra: WireExtra | null;
  /** Callbacks and the rest of a chain, where they do not come from the options. */
  readonly embed: Partial<TaskEmbed> | null;
  readonly parent: SendParent | null;
  /** Not made for a task by its worker. */
  readonly byUser: boolean;
  /** A key that the message itself does not name: nobody frees it. */
  readonly once?: UniqueTerms;
}

/** One send, ready for the transport. */
export interface Built {
  readonly id: string;
  readonly outgoing: Outgoing;
  readonly declaration: QueueDeclaration | null;
  readonly policy: PublishPolicy;
  readonly ignored: boolean;
  /** Name of the queue that was meant; null where only an exchange is known. */
  readonly queue: string | null;
  /** null: it takes no key. */
  readonly unique: UniqueTerms | null;
}

const NO_STAMPS: Readonly<Record<string, unknown>> = Object.freeze({});

export class SendBuilder {
  readonly #clock: Clock;
  readonly #origin = `gen${process.pid}@${hostname()}`;
  /** `reply_to` of what has none: an id of this client, as Celery's `thread_oid`. */
  readonly replyTo: string = uuid4();
  #planner: Planner | null = null;
  #defaultPriority: number | null = null;
  #inheritPriority = false;
  /** `timezone`, for what is counted from now; null: UTC. */
  #zone: string | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The settings are final. Called once, before the first send. */
  configure({ conf, planner }: { readonly conf: ResolvedSettings; readonly planner: Planner }): void {
    this.#planner = planner;
    this.#defaultPriority = conf.taskDefaultPriority;
    this.#inheritPriority = conf.taskInheritParentPriority === true;
    this.#zone = conf.timezone ?? (conf.enableUtc === false ? localZone() : null);
  }

  /** Pure but for ids and the clock. @throws EncodeError */
  build(send: Send): Built {
    const { plan, options, extra, parent } = send;
    const planner = this.#planner;
    if (planner === null) throw new PetioleError("PET_CLOSED", "the app is not in use yet");
    const id = options.taskId ?? uuid4();
    if (typeof id !== "string" || id === "") throw new EncodeError("option taskId must be a text");
    let { route, destination } = plan;
    if (
      destination === null ||
      options.queue != null ||
      options.exchange != null ||
      options.routingKey != null
    ) {
      if (destination === null) route = planner.route(plan, routeCall(send));
      destination = planner.destination(plan, options, route);
    }
    const priority =
      options.priority ??
      plan.priority ??
      route?.priority ??
      (this.#inheritPriority && parent !== null ? parent.priority : this.#defaultPriority);
    if (priority !== null && !Number.isSafeInteger(priority))
      throw new EncodeError(`option priority must be a whole number, not ${String(priority)}`);
    const time = this.#time(send);
    const ignored = options.ignoreResult ?? plan.ignoreResult;
    const unique =
      plan.unique === null || destination.type === "fanout"
        ? null
        : uniqueTerms(send, time?.eta == null ? 0 : Math.max(0, Date.parse(time.eta) - this.#clock.now()));
    const headers = headersOf(options.headers, route?.headers);
    const task: OutgoingTask = {
      id,
      task: plan.task,
      args: send.args,
      kwargs: send.kwargs,
      embed: embedOf(send),
      eta: time?.eta ?? null,
      expires: time?.expires ?? null,
      expirationMs: time?.expirationMs ?? null,
      retries: extra?.retries ?? 0,
      timeLimit: options.timeLimit ?? plan.own.timeLimit ?? null,
      softTimeLimit: options.softTimeLimit ?? plan.own.softTimeLimit ?? null,
      rootId: options.rootId ?? parent?.rootId ?? id,
      parentId: options.parentId ?? parent?.id ?? null,
      group: options.groupId ?? null,
      groupIndex: options.groupIndex ?? null,
      shadow: options.shadow ?? null,
      ignoreResult: ignored,
      replacedTaskNesting: extra?.replacedTaskNesting ?? 0,
      stampedHeaders: extra?.stampedHeaders ?? null,
      stamps: extra?.stamps ?? NO_STAMPS,
      origin: this.#origin,
      replyTo: options.replyTo ?? this.replyTo,
      priority,
      deliveryMode: extra?.deliveryMode ?? route?.deliveryMode ?? plan.deliveryMode,
      headers: unique === null ? headers : { ...headers, [UNIQUE_HEADER]: unique.header },
      extraProperties: extra?.rest === undefined ? null : messageProperties(extra.rest),
      argsrepr: extra?.argsrepr ?? null,
      kwargsrepr: extra?.kwargsrepr ?? null,
    };
    const dynamic = plan.destination === null;
    const message = encodeTask(task, {
      serializer:
        options.serializer ??
        (dynamic ? (plan.own.serializer ?? route?.serializer) : undefined) ??
        plan.serializer,
      compression:
        options.compression ??
        (dynamic ? (plan.own.compression ?? route?.compression) : undefined) ??
        plan.compression,
    });
    return {
      id,
      outgoing: {
        message,
        exchange: destination.exchange,
        type: destination.type,
        routingKey: destination.routingKey,
        priority: priority === null ? 0 : Math.min(Math.max(priority, 0), 9),
      },
      declaration: destination.declaration,
      policy:
        options.retry === undefined && options.retryPolicy === undefined && !dynamic
          ? plan.policy
          : planner.policy(route, options),
      ignored,
      queue: destination.queue,
      unique: unique?.terms ?? (send.once === undefined || destination.type === "fanout" ? null : send.once),
    };
  }

  #time(send: Send): { eta: string | null; expires: string | null; expirationMs: number | null } | null {
    const { options } = send;
    const expires = options.expires ?? send.plan.own.expires;
    if (options.countdown == null && options.eta == null && expires == null) return null;
    const context: TimeContext = { nowMs: this.#clock.now(), zone: this.#zone };
    const until = expires == null ? null : expiresText(expires, context);
    return {
      eta: etaText(options.countdown, options.eta, context),
      expires: until?.text ?? null,
      expirationMs: until?.leftMs ?? null,
    };
  }
}

function routeCall(send: Send): Parameters<Planner["route"]>[1] {
  return { args: send.args, kwargs: send.kwargs, options: { ...send.plan.own, ...send.options } as never };
}

function headersOf(
  own: Readonly<Record<string, unknown>> | undefined,
  route: Readonly<Record<string, unknown>> | undefined,
): Readonly<Record<string, unknown>> | null {
  if (route === undefined) return own ?? null;
  return own === undefined ? route : { ...route, ...own };
}

/** null when the message has no callbacks, no chain and no chord: most have none. */
function embedOf(send: Send): TaskEmbed | null {
  const { options, extra, embed } = send;
  if (embed === null && extra === null && options.link === undefined && options.linkError === undefined)
    return null;
  const callbacks = embed?.callbacks ?? linkedList(options.link);
  const errbacks = embed?.errbacks ?? linkedList(options.linkError);
  const chain = embed?.chain ?? extra?.chain ?? null;
  const chord = embed?.chord ?? extra?.chord ?? null;
  return callbacks === null && errbacks === null && chain === null && chord === null
    ? null
    : { callbacks, errbacks, chain, chord };
}
