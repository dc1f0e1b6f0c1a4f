/** Reads results, bounded in size, over short losses of the connection. */
import { fullJitterMs } from "../../base/backoff.ts";
import type { Clock } from "../../base/clock.ts";
import { BackendError } from "../../errors.ts";
import { HANDLING, RedisError } from "../../redis/errors.ts";
import type { RedisSession } from "../../redis/session.ts";
import { backendError, type StoredText } from "../result-codec.ts";
import { READ } from "./scripts.lua.ts";

/** Keys of one call. */
const CALL_COUNT = 1000;
/** Bytes of one reply, unless one value alone is bigger. */
const CALL_BYTES = 16 * 1024 * 1024;
/** Milliseconds over which a reading is tried again when the connection is lost. */
const RETRY_MS = 5000;
const BACKOFF = { baseMs: 20, capMs: 500 };

export interface ReaderOptions {
  readonly session: RedisSession;
  readonly clock: Clock;
  /** Bytes of one value. */
  readonly maxBytes: number;
  readonly isBinary: boolean;
}

export class ResultReader {
  readonly #options: ReaderOptions;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /**
   * What is stored under each key: null for nothing, an error where it cannot be used.
   *
   * @throws BackendError when Redis cannot be asked
   */
  async readStored(keys: readonly string[]): Promise<readonly (StoredText | Error | null)[]> {
    const found = new Map<string, StoredText | Error | null>();
    let wanted = [...new Set(keys)];
    while (wanted.length > 0) {
      const call = wanted.slice(0, CALL_COUNT);
      const replies = await this.#call(call);
      const again: string[] = [];
      for (const [index, key] of call.entries()) {
        const reply = replies[index];
        if (reply === -1) again.push(key);
        else found.set(key, this.#read(key, reply));
      }
      wanted = [...again, ...wanted.slice(CALL_COUNT)];
    }
    return keys.map((key) => found.get(key) ?? null);
  }

  #read(key: string, reply: unknown): StoredText | Error | null {
    if (typeof reply === "string" || Buffer.isBuffer(reply)) return reply;
    if (typeof reply !== "number") return null;
    const why =
      reply === -2
        ? "holds something else than a result: rename or delete it"
        : `has ${reply} bytes, and at most ${this.#options.maxBytes} are read`;
    return new BackendError(`the key ${JSON.stringify(key)} ${why}`);
  }

  #call(keys: readonly string[]): Promise<readonly unknown[]> {
    const { session, maxBytes, isBinary } = this.#options;
    return this.retried("reading results", async () => {
      const args = [maxBytes, CALL_BYTES];
      const reply = await session.script(READ, { keys, args, form: isBinary ? "bytes" : "text" });
      return Array.isArray(reply) ? (reply as readonly unknown[]) : [];
    });
  }

  /** Waits for a connection and calls; again for a while when it is lost. */
  async retried<T>(operation: string, call: () => Promise<T>): Promise<T> {
    const { session, clock } = this.#options;
    const deadlineMs = clock.monotonic() + RETRY_MS;
    for (let attempt = 1; ; attempt++) {
      try {
        await session.live(null);
        return await call();
      } catch (error) {
        const again = error instanceof RedisError && mayPass(error);
        if (!again || clock.monotonic() >= deadlineMs) throw backendError(error, operation);
        await new Promise<void>((resolve) => {
          clock.setTimer(fullJitterMs(attempt, BACKOFF), resolve);
        });
      }
    }
  }
}

/** Worth another attempt within seconds. */
function mayPass(error: RedisError): boolean {
  const handling = HANDLING[error.kind];
  return handling === "reconnect" || handling === "wait";
}
