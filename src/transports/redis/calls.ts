/**
 * Calls that must be answered: each is sent again, in order, on every new connection until Redis has answered it. All of them
 * may be executed twice without harm (the fence of FETCH, tags that are gone, compared hashes).
 */
import type { Clock, Timer } from "../../base/clock.ts";
import { Linked, LinkedSet } from "../../base/linked-set.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import { HANDLING, type RedisError } from "../../redis/errors.ts";

export interface Call {
  readonly name: string;
  /** `again`: an earlier copy may have been executed. */
  send(connection: RedisConnection, again: boolean): Promise<unknown>;
  onReply(reply: unknown, again: boolean): void;
  /** Refused for good: it is not sent again. */
  onError(error: RedisError): void;
  /** The consumer was closed before there was an answer. */
  onDropped(): void;
}

class OpenCall extends Linked {
  readonly call: Call;
  sent = 0;
  /** Refused for now; sent again by the timer. */
  refused = false;
  /** Refusals that are of an unknown kind. */
  strange = 0;

  constructor(call: Call) {
    super();
    this.call = call;
  }
}

export interface CallQueueOptions {
  readonly clock: Clock;
  /** The connection that may be used now, or null. */
  connection(): RedisConnection | null;
  /** Something was refused for now: say why, once in a while. */
  onTrouble(error: RedisError, name: string): void;
}

/** What is refused for now (MISCONF, NOREPLICAS, BUSY, OOM) is tried again after this. */
const RETRY_MS = 500;
/** A refusal that we do not understand is tried again that often. */
const STRANGE_AT_MOST = 5;

export class CallQueue {
  readonly #options: CallQueueOptions;
  /** In the order they are sent in. */
  readonly #open = new LinkedSet<OpenCall>();
  #retry: Timer | null = null;
  #idle: (() => void)[] = [];
  #stopped = false;

  constructor(options: CallQueueOptions) {
    this.#options = options;
  }

  /** Calls without an answer. */
  get size(): number {
    return this.#open.size;
  }

  /** Redis refuses for now: nothing new should be asked for. */
  get refused(): boolean {
    return this.#retry !== null;
  }

  /** Sends a call, or keeps it for the next connection. */
  issue(call: Call): void {
    if (this.#stopped) {
      call.onDropped();
      return;
    }
    const open = new OpenCall(call);
    this.#open.add(open);
    const connection = this.#options.connection();
    if (connection !== null) this.#send(open, connection);
  }

  /** On a new connection: everything that has no answer, in order. */
  resend(connection: RedisConnection): void {
    this.#retry?.cancel();
    this.#retry = null;
    for (const open of this.#open) this.#send(open, connection);
  }

  /** The connection may be used: what was asked for since `resend` is sent. */
  connected(): void {
    const connection = this.#options.connection();
    if (connection === null) return;
    for (const open of this.#open) if (open.sent === 0) this.#send(open, connection);
  }

  /** Resolves when every call was answered. */
  settled(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
    });
  }

  /** Nothing is sent any more; what has no answer is left to the leases. */
  stop(): void {
    this.#stopped = true;
    this.#retry?.cancel();
    this.#retry = null;
    const unanswered = [...this.#open];
    this.#open.clear();
    for (const { call } of unanswered) call.onDropped();
    this.#tellIdle();
  }

  #send(open: OpenCall, connection: RedisConnection): void {
    const again = open.sent > 0;
    open.sent += 1;
    open.refused = false;
    open.call.send(connection, again).then(
      (reply) => {
        if (!this.#close(open)) return;
        open.call.onReply(reply, again);
      },
      (error: unknown) => this.#failed(open, error as RedisError),
    );
  }

  #failed(open: OpenCall, error: RedisError): void {
    if (this.#stopped || !this.#open.has(open)) return;
    switch (HANDLING[error.kind]) {
      case "reconnect":
        return;
      case "stop":
        this.#close(open);
        open.call.onError(error);
        return;
      case "report":
        open.strange += error.kind === "other" ? 1 : 0;
        if (open.strange > STRANGE_AT_MOST) {
          this.#close(open);
          open.call.onError(error);
          return;
        }
        break;
      case "pause":
      case "resend":
      case "wait":
        break;
    }
    open.refused = true;
    this.#options.onTrouble(error, open.call.name);
    this.#retry ??= this.#options.clock.setTimer(RETRY_MS, () => {
      this.#retry = null;
      const connection = this.#options.connection();
      if (connection === null) return;
      for (const one of this.#open) if (one.refused) this.#send(one, connection);
    });
  }

  /** false: it was answered before (a late reply of an old connection). */
  #close(open: OpenCall): boolean {
    if (!this.#open.delete(open)) return false;
    if (this.#open.size === 0) this.#tellIdle();
    return true;
  }

  #tellIdle(): void {
    const idle = this.#idle;
    this.#idle = [];
    for (const resolve of idle) resolve();
  }
}
