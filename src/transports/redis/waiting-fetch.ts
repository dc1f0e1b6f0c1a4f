/**
 * A FETCH that waits in the server, so that a message which comes while the consumer is idle needs no round trip: Redis runs
 * the FETCH as soon as there is one. Behind a BLMOVE of the first list onto itself, which ends when the list is not empty and
 * leaves it as it is, on the connection that is there for wake-ups and carries nothing else meanwhile.
 *
 * | state   | start     | BLMOVE ended, FETCH answered | hurry                  | connection lost             |
 * |---------|-----------|------------------------------|------------------------|-----------------------------|
 * | idle    | -> open   |                              |                        |                             |
 * | open    |           | -> idle, reply told          | CLIENT UNBLOCK, -> hurried | -> idle, asked for elsewhere |
 * | hurried |           | -> idle, reply told          |                        | -> idle, asked for elsewhere |
 *
 * While it is open the consumer sends no other FETCH, so that calls are executed in the order of their numbers; it hurries
 * this one instead. What a lost one may have taken is asked for on the data connection; that copy takes nothing, and keeps
 * one that the server may still run from taking anything.
 */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import { RedisError } from "../../redis/errors.ts";
import type { RedisSession } from "../../redis/session.ts";
import type { FetchCall } from "./fetcher.ts";

export interface WaitingFetchOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Carries CLIENT UNBLOCK. */
  readonly data: RedisSession;
  /** The server answers at the latest after this: the safety poll. */
  readonly timeoutMs: number;
  /** The call was lost: asks what it took. */
  readonly learn: (call: FetchCall) => void;
  /** A message has come, or may have. */
  readonly onEnd: () => void;
}

/** After a refusal, and after a message that was sent twice for it and is longer than this. */
const OFF_MS = 60_000;
const LONG_MESSAGE = 64 * 1024;
/** Between two tries to unblock one that does not wait yet. */
const UNBLOCK_FROM_MS = 1;
const UNBLOCK_TO_MS = 64;

export interface Wait {
  readonly call: FetchCall;
  readonly connection: RedisConnection;
  /** Of the connection. */
  readonly clientId: number;
  /** The list that is waited for. */
  readonly list: string;
}

export class WaitingFetch {
  readonly #options: WaitingFetchOptions;
  #open: Wait | null = null;
  #hurried = false;
  /** Monotonic. */
  #offUntilMs = 0;

  constructor(options: WaitingFetchOptions) {
    this.#options = options;
  }

  get open(): boolean {
    return this.#open !== null;
  }

  /** Whether it is worth trying. */
  get usable(): boolean {
    return this.#open === null && this.#options.clock.monotonic() >= this.#offUntilMs;
  }

  /** In the write that arms the rest, behind it. */
  start(wait: Wait): void {
    const { call, connection, list } = wait;
    this.#open = wait;
    this.#hurried = false;
    const args = [list, list, "RIGHT", "RIGHT", this.#options.timeoutMs / 1000];
    connection.command("blmove", args, "size").then(
      (bytes) => {
        // If the FETCH brings none, others were faster.
        call.tooLate = bytes !== null;
        if (Number(bytes) > LONG_MESSAGE) this.#off();
      },
      (error: unknown) => this.#refused(error, "BLMOVE"),
    );
    call.send(connection).then(
      (reply) => this.#end(call, () => call.onReply(reply)),
      () => this.#end(call, () => this.#options.learn(call)),
    );
  }

  /** Lets it run now. Without a connection to say so it is given up. */
  hurry(): void {
    const open = this.#open;
    if (open === null || this.#hurried) return;
    this.#hurried = true;
    this.#unblock(open, UNBLOCK_FROM_MS);
  }

  /** It goes another way than the BLMOVE and may be there first: as long as it meets nobody it is sent again. */
  #unblock(open: Wait, againMs: number): void {
    const { clock, data } = this.#options;
    data.command("client", ["unblock", open.clientId]).then(
      (met) => {
        if (Number(met) === 1 || this.#open !== open) return;
        const again = (): void => {
          if (this.#open === open) this.#unblock(open, Math.min(UNBLOCK_TO_MS, 2 * againMs));
        };
        clock.setTimer(againMs, again, { unref: true });
      },
      (error: unknown) => {
        this.#refused(error, "CLIENT UNBLOCK");
        if (this.#open === open) this.cancel();
      },
    );
  }

  /** Ends its connection. */
  cancel(): void {
    this.#open?.connection.destroy(new RedisError("connection", "the wait for messages was ended"));
  }

  #end(call: FetchCall, then: () => void): void {
    if (this.#open?.call !== call) return;
    this.#open = null;
    this.#options.onEnd();
    then();
  }

  #off(): void {
    this.#offUntilMs = this.#options.clock.monotonic() + OFF_MS;
  }

  #refused(error: unknown, what: string): void {
    if (!(error instanceof RedisError) || error.kind === "connection") return;
    this.#off();
    this.#options.logger.debug({ err: error }, `${what} is refused: messages are waited for without it`);
  }
}
