/**
 * One TCP connection (or unix socket) to Redis, used until it breaks and never again: no reconnect, no re-send, no queue while
 * it is not there. A connection on which nothing was answered for `commandMs` while something is outstanding is destroyed,
 * because a late reply would be lost (and with it the messages it carries).
 */
import type { Socket } from "node:net";
import type { Clock, Timer } from "../base/clock.ts";
import { HANDLING, RedisError, replyError } from "./errors.ts";
import { shakeHands } from "./handshake.ts";
import { isRespError, isRespPush, type RespValue } from "./resp.ts";
import { INCOMPLETE, type ReplyForm, RespReader } from "./resp-reader.ts";
import { type RedisArg, RespWriter } from "./resp-writer.ts";
import type { LuaScript } from "./scripts.ts";
import { openSocket, type SocketAddress } from "./socket.ts";
import type { RedisAddress } from "./url.ts";

export type { ReplyForm } from "./resp-reader.ts";
export { ArgBlock, type RedisArg } from "./resp-writer.ts";

export interface DialOptions {
  readonly address: SocketAddress & Pick<RedisAddress, "username" | "password" | "db" | "redacted">;
  /** 3 falls back to 2 where the server has no RESP3. */
  readonly protocol: 2 | 3;
  /** `CLIENT SETNAME`; null sets none. */
  readonly clientName: string | null;
  readonly dialMs: number;
  readonly commandMs: number;
  readonly clock: Clock;
}

export interface ScriptCall {
  readonly keys: readonly RedisArg[];
  readonly args: readonly RedisArg[];
  /** Default text. */
  readonly form?: ReplyForm;
}

/** Bytes of one write over TLS that are copied, so that a small command does not cost a slab. */
const COPIED_AT_MOST = 16 * 1024;
/** How often per deadline the watchdog looks; also how late it may be before it suspects a blocked event loop. */
const WATCH_STEPS = 4;

/** A command without a reply. */
interface Pending {
  readonly name: string;
  readonly form: ReplyForm;
  readonly resolve: (reply: RespValue) => void;
  readonly reject: (error: Error) => void;
  /** The server does not know the script. */
  readonly onNoScript: (() => void) | null;
  /** Replies to come: SUBSCRIBE and its like answer once for each channel. */
  replies: number;
  next: Pending | null;
}

/** Commands whose replies are pushes (RESP3) or look like them (RESP2). */
const SUBSCRIBING = new Set(["subscribe", "psubscribe", "unsubscribe", "punsubscribe"]);

export type MessageListener = (channel: string, payload: string, pattern: string | null) => void;

export class RedisConnection {
  readonly address: DialOptions["address"];
  /** Why the connection ended; null while it works. Written by `#end`. */
  closed: RedisError | null = null;
  /** Called once when it ended. Set by the owner. */
  onClose: ((reason: RedisError) => void) | null = null;
  /** Sees pushes that are no pub/sub messages, such as `invalidate` and its keys. Set by the owner. */
  onPush: ((push: readonly RespValue[]) => void) | null = null;
  /** Sees pub/sub messages; `pattern` is null for a plain channel. Set by the owner. */
  onMessage: MessageListener | null = null;

  readonly #socket: Socket;
  readonly #options: DialOptions;
  readonly #reader = new RespReader();
  readonly #writer: RespWriter;
  /** Commands without a reply, in the order they were sent in. */
  #first: Pending | null = null;
  #last: Pending | null = null;
  /** Open `corked` calls. */
  #corks = 0;
  /** Set by `commandSoon`, until the end of the turn. */
  #flushing = false;
  /** RESP2 only: arrays may be messages. */
  #subscribed = false;
  /** Monotonic ms of the last reply, or of the first send after a silence. */
  #progressAt = 0;
  #watchAt = 0;
  #watch: Timer | null = null;
  #dialled = false;
  /** What the socket said last; the cause of the end. */
  #lastError: Error | null = null;

  private constructor(options: DialOptions, onReady: () => void) {
    this.address = options.address;
    this.#options = options;
    const socket = openSocket(options.address, { onReady, onData: (chunk) => this.#read(chunk) });
    this.#socket = socket;
    const isPlain = options.address.tls === null;
    this.#writer = new RespWriter((bytes) => {
      // A TLS socket does not say when it is done with them.
      const copied = !isPlain && bytes.length <= COPIED_AT_MOST;
      socket.write(copied ? Buffer.from(bytes) : bytes);
      return copied || (isPlain && socket.writableLength === 0);
    });
    socket.on("error", (error) => {
      this.#lastError = error;
    });
    socket.on("close", () => this.#end(this.#dialled ? this.#lost() : this.#dialError()));
  }

  /** Resolves once the handshake is done. Rejects with a `RedisError`. */
  static async dial(options: DialOptions): Promise<RedisConnection> {
    const { address, dialMs, clock } = options;
    let timer: Timer | null = null;
    const connection = await new Promise<RedisConnection>((resolve, reject) => {
      const dialled = new RedisConnection(options, () => {
        dialled.onClose = null;
        resolve(dialled);
      });
      dialled.onClose = reject;
      timer = clock.setTimer(dialMs, () => {
        const text = `${address.redacted}: no connection within ${dialMs} ms`;
        dialled.destroy(new RedisError("connection", text, { outcome: "not sent" }));
      });
    })
      .then(async (dialled) => {
        try {
          await shakeHands((commands) => dialled.pipeline(commands), options);
        } catch (error) {
          // A refusal is told as it is; whatever else ended the attempt is in `closed`.
          const reason = dialled.closed ?? (error as RedisError);
          dialled.destroy(reason);
          throw reason;
        }
        dialled.#dialled = true;
        return dialled;
      })
      .finally(() => timer?.cancel());
    if (connection.closed) throw connection.closed;
    return connection;
  }

  /** Sends one command; `name` in small letters. Rejects with a `RedisError`. */
  command(name: string, args: readonly RedisArg[], form: ReplyForm = "text"): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#send({ name, form, resolve, reject, onNoScript: null, replies: 1, next: null }, args);
    });
  }

  #send(pending: Pending, args: readonly RedisArg[]): void {
    if (this.closed !== null) {
      pending.reject(this.#notSent());
      return;
    }
    if (SUBSCRIBING.has(pending.name)) {
      this.#subscribed = true;
      pending.replies = args.length;
    }
    if (this.#last === null) {
      this.#first = pending;
      this.#startWatch();
    } else this.#last.next = pending;
    this.#last = pending;
    this.#writer.command(pending.name, args);
    if (this.#corks === 0) this.#writer.flush();
  }

  /** As {@link command}; leaves with whatever is sent next, at the end of the turn at the latest: a write costs more than it. */
  commandSoon(name: string, args: readonly RedisArg[]): Promise<unknown> {
    this.#corks += 1;
    const sent = this.command(name, args);
    this.#corks -= 1;
    if (!this.#flushing) {
      this.#flushing = true;
      setImmediate(this.#flushSoon);
    }
    return sent;
  }

  readonly #flushSoon = (): void => {
    this.#flushing = false;
    if (this.#corks === 0 && this.closed === null) this.#writer.flush();
  };

  /** Several commands in one write; a refused one is a `RedisError` in its place. Rejects only when the connection ends. */
  async pipeline(commands: readonly (readonly [string, ...RedisArg[]])[]): Promise<unknown[]> {
    const sent = this.corked(() =>
      commands.map(([name, ...args]) =>
        this.command(name, args).catch((error: unknown) => error as RedisError),
      ),
    );
    const replies = await Promise.all(sent);
    for (const reply of replies) {
      if (reply instanceof RedisError && reply.kind === "connection") throw reply;
    }
    return replies;
  }

  /**
   * Calls a script by its hash; where the server does not know it (`SCRIPT FLUSH`, failover) once more with its text.
   * Several scripts of one turn that all meet NOSCRIPT are sent again in their order.
   */
  script(script: LuaScript, call: ScriptCall): Promise<unknown> {
    const rest = [call.keys.length, ...call.keys, ...call.args];
    const { form = "text" } = call;
    return new Promise((resolve, reject) => {
      const onNoScript = (): void => {
        this.#send({ name: "eval", form, resolve, reject, onNoScript: null, replies: 1, next: null }, [
          script.text,
          ...rest,
        ]);
      };
      this.#send({ name: "evalsha", form, resolve, reject, onNoScript, replies: 1, next: null }, [
        script.sha,
        ...rest,
      ]);
    });
  }

  /** What is sent inside leaves together. */
  corked<T>(send: () => T): T {
    this.#corks += 1;
    try {
      return send();
    } finally {
      this.#corks -= 1;
      if (this.#corks === 0 && this.closed === null) this.#writer.flush();
    }
  }

  /** Ends the connection at once; what is outstanding rejects. Idempotent. */
  destroy(reason: RedisError): void {
    if (this.closed !== null) return;
    this.#end(reason);
    this.#socket.destroy();
  }

  #end(reason: RedisError): void {
    if (this.closed !== null) return;
    this.closed = reason;
    this.#watch?.cancel();
    this.#watch = null;
    const listener = this.onClose;
    this.onClose = null;
    this.onPush = null;
    this.onMessage = null;
    listener?.(reason);
    let pending = this.#first;
    this.#first = null;
    this.#last = null;
    for (; pending !== null; pending = pending.next) pending.reject(reason);
  }

  #read(chunk: Buffer): void {
    if (this.closed !== null) return;
    const reader = this.#reader;
    this.#progressAt = this.#options.clock.monotonic();
    try {
      reader.feed(chunk);
      for (;;) {
        reader.form = this.#first?.form ?? "text";
        const value = reader.next();
        if (value === INCOMPLETE) return;
        this.#take(value);
        // A reply may have ended the connection.
        if (this.closed !== null) return;
      }
    } catch (error) {
      const text = `${this.address.redacted}: ${error instanceof Error ? error.message : String(error)}`;
      this.destroy(new RedisError("connection", text, { cause: error, outcome: "unknown" }));
    }
  }

  #take(value: RespValue): void {
    if (isRespPush(value)) this.#takePush(value.push);
    else if (this.#subscribed && Array.isArray(value) && isPubSub(value)) this.#takePush(value);
    else this.#settle(value);
  }

  #takePush(push: readonly RespValue[]): void {
    const [kind, first = null, second = null, third = null] = push;
    if (kind === "message") {
      // Invalidations that RESP2 hears come as messages whose payload is the list of keys.
      if (typeof second === "string") this.onMessage?.(textOf(first), second, null);
      else this.onPush?.(["invalidate", second]);
    } else if (kind === "pmessage") this.onMessage?.(textOf(second), textOf(third), textOf(first));
    else if (typeof kind === "string" && SUBSCRIBING.has(kind)) this.#settle(second);
    else this.onPush?.(push);
  }

  #settle(value: RespValue): void {
    const pending = this.#first;
    // Such as a last word before the server closes the connection.
    if (pending === null) return;
    if (isRespError(value)) {
      this.#shift(pending);
      const failure = this.#refused(value.error, pending.name);
      if (failure.kind === "noscript" && pending.onNoScript !== null) pending.onNoScript();
      else pending.reject(failure);
      return;
    }
    pending.replies -= 1;
    if (pending.replies > 0) return;
    this.#shift(pending);
    pending.resolve(value);
  }

  #shift(pending: Pending): void {
    this.#first = pending.next;
    if (pending.next === null) this.#last = null;
    // Else one that has grown old would keep all that came after it alive.
    pending.next = null;
  }

  #startWatch(): void {
    this.#progressAt = this.#options.clock.monotonic();
    if (this.#watch === null) this.#armWatch();
  }

  #armWatch(): void {
    const { clock, commandMs } = this.#options;
    this.#watchAt = clock.monotonic();
    this.#watch = clock.setTimer(commandMs / WATCH_STEPS, () => this.#look());
  }

  /** Looks at the deadline; stops looking while nothing is outstanding. */
  #look(): void {
    this.#watch = null;
    if (this.#first === null || this.closed !== null) return;
    const { clock, commandMs } = this.#options;
    const now = clock.monotonic();
    // Timers run before sockets are read: after a blocked event loop the reply may be waiting in the socket.
    if (now - this.#watchAt > (2 * commandMs) / WATCH_STEPS) this.#progressAt = now;
    if (now - this.#progressAt >= commandMs) {
      this.destroy(
        new RedisError("connection", `${this.address.redacted} did not answer within ${commandMs} ms`, {
          outcome: "unknown",
        }),
      );
      return;
    }
    this.#armWatch();
  }

  #lost(): RedisError {
    const cause = this.#lastError;
    const detail = cause === null ? "" : `: ${cause.message}`;
    return new RedisError("connection", `the connection to ${this.address.redacted} was lost${detail}`, {
      cause,
      outcome: "unknown",
    });
  }

  #notSent(): RedisError {
    const reason = this.closed;
    return new RedisError("connection", reason?.message ?? `${this.address.redacted} is not connected`, {
      cause: reason,
      outcome: "not sent",
    });
  }

  #dialError(): RedisError {
    const cause = this.#lastError;
    // Several addresses that all refused have a code, but no text.
    const detail =
      cause === null ? "it was closed" : cause.message || String((cause as NodeJS.ErrnoException).code);
    return new RedisError("connection", `cannot connect to ${this.address.redacted}: ${detail}`, {
      cause,
      outcome: "not sent",
    });
  }

  /** An error reply as a `RedisError`; ends the connection where its kind says so. */
  #refused(text: string, name: string): RedisError {
    const failure = replyError(text, name.toUpperCase());
    if (this.#dialled && HANDLING[failure.kind] === "reconnect") this.destroy(failure);
    return failure;
  }
}

function textOf(value: RespValue): string {
  return typeof value === "string" ? value : "";
}

/** RESP2: an array that is no reply, or a reply that comes once for each channel. */
function isPubSub(value: readonly RespValue[]): boolean {
  const kind = value[0];
  return (
    typeof kind === "string" &&
    (SUBSCRIBING.has(kind) ||
      (kind === "message" && value.length === 3) ||
      (kind === "pmessage" && value.length === 4))
  );
}
