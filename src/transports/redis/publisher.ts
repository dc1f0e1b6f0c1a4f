/**
 * Publishing. What is published in one event-loop turn shares one LPUSH per list; each caller's promise settles on the reply
 * of the LPUSH that carried its message. A message that finds nothing on its way is sent at once, so that the server works
 * while the turn goes on. One attempt: the caller's policy decides about the next.
 */
import { uuid4 } from "../../base/uuid.ts";
import { OperationalError, type PublishOutcome } from "../../errors.ts";
import { encodeEnvelope } from "../../protocol/envelope.ts";
import { ArgBlock, type RedisConnection } from "../../redis/connection.ts";
import type { RedisSession } from "../../redis/session.ts";
import type { Outgoing, StoredMessages } from "../transport.ts";
import { type Binding, matchingQueues, parseBindings } from "./bindings.ts";
import type { RedisKeys } from "./keys.ts";
import type { RedisTransportSettings } from "./options.ts";

/** Values and bytes (UTF-16 units) of one LPUSH at most: a bigger one would hold up everybody else on the server. */
const VALUES_AT_MOST = 1000;
const UNITS_AT_MOST = 1024 * 1024;

/** One command, shared by all that put something into it. */
class Carrier {
  readonly name: "lpush" | "publish";
  readonly key: string;
  onHeard: ((count: number) => void) | null = null;
  /** Messages are bytes at once: as long as they wait nothing else of them is in memory. */
  readonly block = new ArgBlock();
  /** Settles with the command. Nobody may be left without a handler: see the constructor. */
  readonly done: Promise<void>;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(name: "lpush" | "publish", key: string) {
    this.name = name;
    this.key = key;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.done.catch(() => {});
  }

  get full(): boolean {
    return this.block.count >= VALUES_AT_MOST || this.block.units > UNITS_AT_MOST;
  }

  /** `onEnd` is called after the callers have heard. */
  settle(sent: Promise<unknown>, onEnd: () => void): void {
    sent.then(
      (reply) => {
        this.onHeard?.(Number(reply));
        this.#resolve();
        onEnd();
      },
      (error: unknown) => {
        this.#reject(error);
        onEnd();
      },
    );
  }

  fail(error: Error): void {
    this.#reject(error);
  }
}

/** A message that is ready to be sent. */
interface Direct {
  readonly name: "lpush" | "publish";
  readonly key: string;
  readonly text: string;
  readonly onHeard: ((count: number) => void) | null;
}

/** A message for a named exchange: where it goes is asked when it is sent. */
interface Routed {
  readonly outgoing: Outgoing;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface PublisherOptions {
  readonly session: RedisSession;
  readonly settings: RedisTransportSettings;
  readonly keys: RedisKeys;
}

export class Publisher {
  readonly #options: PublisherOptions;
  /** Of this turn, in the order they are sent in. */
  #carriers: Carrier[] = [];
  /** The carrier that still takes messages, by key. */
  #open = new Map<string, Carrier>();
  #routed: Routed[] = [];
  #scheduled = false;
  /** Commands, and flushes without a connection, that have not been answered. */
  #outstanding = 0;
  #idle: (() => void)[] = [];

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  publish(messages: readonly Outgoing[], signal: AbortSignal | null): Promise<void> {
    if (signal?.aborted) return Promise.reject(aborted("not sent"));
    let done: Promise<void>;
    try {
      const only = messages.length === 1 ? messages[0] : undefined;
      const connection = this.#options.session.state === "live" ? this.#options.session.connection : null;
      if (connection !== null && messages.every(isBroadcast)) done = this.#broadcast(connection, messages);
      else done = only === undefined ? this.#publishMany(messages) : this.#publishOne(only);
    } catch (error) {
      return Promise.reject(error);
    }
    return signal === null ? done : untilAborted(done, signal);
  }

  /** null: where one of them goes is asked when it is sent. */
  encode(messages: readonly Outgoing[]): StoredMessages["messages"] | null {
    if (messages.some(({ type, exchange }) => type === "fanout" || exchange !== "")) return null;
    return messages.map((outgoing) => {
      const { key, text } = this.#direct(outgoing);
      return { list: key, text };
    });
  }

  /** Resolves when everything that was published has been answered. */
  async flushed(): Promise<void> {
    if (this.#scheduled) this.#flush();
    if (this.#outstanding === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve);
    });
  }

  #publishOne(outgoing: Outgoing): Promise<void> {
    if (outgoing.type !== "fanout" && outgoing.exchange !== "") {
      return this.#route(outgoing);
    }
    const direct = this.#direct(outgoing);
    const isFree = this.#outstanding === 0 && !this.#scheduled;
    return isFree && this.#options.session.state === "live" ? this.#sendNow(direct) : this.#put(direct);
  }

  /** Nobody waits for a broadcast: it leaves with what is sent next. */
  #broadcast(connection: RedisConnection, messages: readonly Outgoing[]): Promise<void> {
    const sent = messages
      .map((outgoing) => this.#direct(outgoing))
      .map(({ name, key, text, onHeard }) => {
        this.#outstanding += 1;
        const answered = connection.commandSoon(name, [key, text]);
        answered.then(this.#onEnd, this.#onEnd);
        return counted(answered, onHeard);
      });
    return sent.length === 1 ? (sent[0] as Promise<void>) : allOf(sent);
  }

  #sendNow({ name, key, text, onHeard }: Direct): Promise<void> {
    this.#outstanding += 1;
    const sent = this.#options.session.command(name, [key, text]);
    sent.then(this.#onEnd, this.#onEnd);
    return counted(sent, onHeard);
  }

  #publishMany(messages: readonly Outgoing[]): Promise<void> {
    // All are encoded before any is put: one that cannot be encoded keeps the others of its call out.
    const ready = messages.map((outgoing) => {
      if (outgoing.type !== "fanout" && outgoing.exchange !== "") {
        this.#encode(outgoing);
        return () => this.#route(outgoing);
      }
      const direct = this.#direct(outgoing);
      return () => this.#put(direct);
    });
    const waits = new Set(ready.map((put) => put()));
    return waits.size === 0 ? Promise.resolve() : allOf([...waits]);
  }

  #encode(outgoing: Outgoing): string {
    const { message, exchange, routingKey, priority } = outgoing;
    return encodeEnvelope(message, { exchange, routingKey, priority, deliveryTag: uuid4() });
  }

  #direct(outgoing: Outgoing): Direct {
    const { keys } = this.#options;
    const text = this.#encode(outgoing);
    return outgoing.type === "fanout"
      ? {
          name: "publish",
          key: keys.channel(outgoing.exchange, outgoing.routingKey),
          text,
          onHeard: outgoing.onHeard === undefined ? null : (count) => outgoing.onHeard?.(count),
        }
      : {
          name: "lpush",
          key: keys.list(outgoing.routingKey, keys.stepOf(outgoing.priority)),
          text,
          onHeard: null,
        };
  }

  #put({ name, key, text, onHeard }: Direct): Promise<void> {
    let carrier = name === "lpush" ? this.#open.get(key) : undefined;
    if (carrier === undefined || carrier.full) {
      carrier = new Carrier(name, key);
      this.#carriers.push(carrier);
      if (name === "lpush") this.#open.set(key, carrier);
    }
    carrier.block.add(text);
    carrier.onHeard = onHeard;
    this.#schedule();
    return carrier.done;
  }

  #route(outgoing: Outgoing): Promise<void> {
    const done = new Promise<void>((resolve, reject) => {
      this.#routed.push({ outgoing, resolve, reject });
    });
    this.#schedule();
    return done;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After the promise jobs of this turn, in which others may publish too.
    process.nextTick(() => {
      if (this.#scheduled) this.#flush();
    });
  }

  #flush(): void {
    this.#scheduled = false;
    const carriers = this.#carriers;
    const routed = this.#routed;
    this.#carriers = [];
    this.#routed = [];
    this.#open = new Map();
    const { session } = this.#options;
    if (session.state === "live") {
      this.#send(carriers, routed);
      return;
    }
    for (const carrier of carriers) carrier.block.compact();
    this.#outstanding += 1;
    session
      .live(null)
      .then(
        () => this.#send(carriers, routed),
        (error: unknown) => {
          const failure = notSent(error);
          for (const carrier of carriers) carrier.fail(failure);
          for (const one of routed) one.reject(failure);
        },
      )
      .finally(this.#onEnd);
  }

  #send(carriers: readonly Carrier[], routed: readonly Routed[]): void {
    const { session } = this.#options;
    const send = (): void => {
      for (const carrier of carriers) {
        this.#outstanding += 1;
        carrier.settle(session.command(carrier.name, [carrier.key, carrier.block]), this.#onEnd);
      }
      if (routed.length === 0) return;
      this.#outstanding += 1;
      void this.#sendRouted(routed).finally(this.#onEnd);
    };
    if (session.connection === null || carriers.length === 1) send();
    else session.connection.corked(send);
  }

  /** Never rejects. Bindings are read for every flush, as kombu does for every publish: another process may have bound a queue. */
  async #sendRouted(routed: readonly Routed[]): Promise<void> {
    const { session, settings } = this.#options;
    const { keys } = this.#options;
    const exchanges = [...new Set(routed.map((one) => one.outgoing.exchange))];
    const tables = new Map<string, Promise<Binding[]>>();
    for (const exchange of exchanges) {
      tables.set(
        exchange,
        session
          .command("smembers", [keys.binding(exchange)])
          .then((members) => parseBindings(members as string[], keys.sep)),
      );
    }
    const sent = routed.map(async (one) => {
      const { outgoing } = one;
      try {
        const bindings = (await tables.get(outgoing.exchange)) ?? [];
        const queues = matchingQueues(bindings, outgoing.routingKey);
        if (queues.length === 0 && settings.deadletterQueue !== null) queues.push(settings.deadletterQueue);
        const step = keys.stepOf(outgoing.priority);
        // A tag of its own for every copy.
        await allOf(
          queues.map((queue) =>
            this.#put({
              name: "lpush",
              key: keys.list(queue, step),
              text: this.#encode(outgoing),
              onHeard: null,
            }),
          ),
        );
        one.resolve();
      } catch (error) {
        one.reject(error as Error);
      }
    });
    await Promise.all(sent);
  }

  readonly #onEnd = (): void => {
    this.#outstanding -= 1;
    if (this.#outstanding > 0) return;
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  };
}

/** The reply of a PUBLISH counts who got it, subscribed by name or by pattern. */
function counted(sent: Promise<unknown>, onHeard: ((count: number) => void) | null): Promise<void> {
  return onHeard === null ? (sent as Promise<void>) : sent.then((reply) => onHeard(Number(reply)));
}

function isBroadcast({ type }: Outgoing): boolean {
  return type === "fanout";
}

/** Waits for all; when one failed, what is known of the whole: "not sent" only when that holds for each. */
async function allOf(waits: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(waits);
  const failures = results.flatMap((one) => (one.status === "rejected" ? [one.reason as unknown] : []));
  const [first] = failures;
  if (first === undefined) return;
  if (!(first instanceof OperationalError)) throw first as Error;
  const unsent = failures.every((one) => one instanceof OperationalError && one.outcome === "not sent");
  if (unsent && failures.length === results.length) throw first;
  throw new OperationalError(`${failures.length} of ${results.length} commands failed: ${first.message}`, {
    code: first.code,
    outcome: "unknown",
    cause: first,
  });
}

function notSent(error: unknown): Error {
  if (error instanceof OperationalError && error.outcome === "not sent") return error;
  const text = error instanceof Error ? error.message : String(error);
  return new OperationalError(text, {
    ...(error instanceof OperationalError ? { code: error.code } : {}),
    outcome: "not sent",
    cause: error,
  });
}

function aborted(outcome: PublishOutcome): OperationalError {
  return new OperationalError("publishing was given up", { outcome });
}

function untilAborted(done: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(aborted("unknown"));
    signal.addEventListener("abort", onAbort, { once: true });
    done.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
