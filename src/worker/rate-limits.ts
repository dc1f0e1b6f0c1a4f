/**
 * How often a task may start in this worker: a bucket of one token for each limited task type, as in Celery. What has to
 * wait holds no slot of the pool; the consumer raises its prefetch by it. Python: `kombu.utils.limits.TokenBucket`,
 * `Consumer._limit_task`.
 *
 * | state of a request | leaves by |
 * |--------------------|-----------|
 * | waiting            | a token -> `release`; `drop` (lease lost) |
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Request } from "./request.ts";
import { RequestQueue } from "./request-queue.ts";

const SECONDS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600 };

/** What a rate cannot be, as Python says it. */
export class InvalidRate extends Error {
  /** Class of Python's exception. */
  readonly type: "ValueError" | "KeyError" | "TypeError";
  constructor(type: "ValueError" | "KeyError" | "TypeError", message: string) {
    super(message);
    this.type = type;
  }
}

/**
 * Starts for each second: of `"10/s"`, `"100/m"`, `"1000/h"`, `5`; 0: no limit.
 *
 * @throws InvalidRate
 */
export function rateOf(limit: unknown): number {
  if (limit === null || limit === undefined || limit === "") return 0;
  if (typeof limit === "number") return checked(limit, String(limit));
  if (typeof limit !== "string") throw new InvalidRate("TypeError", "a rate limit is a number or a text");
  const slash = limit.indexOf("/");
  const [ops, unit] = slash === -1 ? [limit, ""] : [limit.slice(0, slash), limit.slice(slash + 1)];
  if (!/^\s*[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?\s*$/i.test(ops)) {
    throw new InvalidRate("ValueError", `could not convert string to float: '${ops}'`);
  }
  const seconds = Object.hasOwn(SECONDS, unit) ? SECONDS[unit] : undefined;
  if (seconds === undefined) throw new InvalidRate("KeyError", unit);
  return checked(Number(ops) / seconds, limit);
}

function checked(rate: number, shown: string): number {
  if (Number.isFinite(rate) && rate >= 0) return rate;
  throw new InvalidRate("ValueError", `a rate limit is not below 0: '${shown}'`);
}

/** One token at most, refilled at a rate. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #clock: Clock;
  #tokens = 1;
  #filledMs: number;

  constructor(perSecond: number, clock: Clock) {
    this.#perMs = perSecond / 1000;
    this.#clock = clock;
    this.#filledMs = clock.monotonic();
  }

  take(): boolean {
    const nowMs = this.#clock.monotonic();
    this.#tokens = Math.min(1, this.#tokens + (nowMs - this.#filledMs) * this.#perMs);
    this.#filledMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Until there is a token, if nobody takes one. ms. */
  get waitMs(): number {
    return (1 - this.#tokens) / this.#perMs;
  }
}

interface Line {
  bucket: TokenBucket | null;
  readonly waiting: RequestQueue;
  timer: Timer | null;
}

export interface RateLimitsOptions {
  readonly clock: Clock;
  /** The limit of a task type as it stands; 0: none. */
  rateOf(task: string): number;
  /** Takes a request that may start. */
  release(request: Request): void;
  /** Requests have been released: they may be started. */
  onReleased(): void;
}

/** Node's timers take 2^31 - 1 ms at most. */
const LONGEST_TIMER_MS = 2 ** 30;

export class RateLimits {
  readonly #options: RateLimitsOptions;
  /** By task. Written by `add`. */
  readonly #lines = new Map<string, Line>();
  #size = 0;

  constructor(options: RateLimitsOptions) {
    this.#options = options;
  }

  /** Requests that wait. */
  get size(): number {
    return this.#size;
  }

  /** Passes it on when its type has a token, else keeps it. Nobody overtakes. */
  add(request: Request): void {
    const { task } = request;
    let line = this.#lines.get(task);
    if (line === undefined) {
      line = { bucket: this.#bucketOf(task), waiting: new RequestQueue(), timer: null };
      this.#lines.set(task, line);
    }
    line.waiting.push(request);
    this.#size += 1;
    this.#advance(line);
  }

  /** The limit of a task was changed. */
  changed(task: string): void {
    const line = this.#lines.get(task);
    if (line === undefined) return;
    line.timer?.cancel();
    line.timer = null;
    line.bucket = this.#bucketOf(task);
    this.#advance(line);
    this.#options.onReleased();
  }

  /** Takes out those that match. */
  drop(match: (request: Request) => boolean): Request[] {
    const dropped = [...this.#lines.values()].flatMap((line) => line.waiting.drop(match));
    this.#size -= dropped.length;
    return dropped;
  }

  /** What waits, for `inspect reserved`. */
  waiting(): readonly Request[] {
    return [...this.#lines.values()].flatMap((line) => line.waiting.toArray());
  }

  stop(): void {
    for (const line of this.#lines.values()) line.timer?.cancel();
    this.#lines.clear();
    this.#size = 0;
  }

  #bucketOf(task: string): TokenBucket | null {
    const rate = this.#options.rateOf(task);
    return rate === 0 ? null : new TokenBucket(rate, this.#options.clock);
  }

  #advance(line: Line): void {
    if (line.timer !== null) return;
    while (line.waiting.size > 0) {
      if (line.bucket !== null && !line.bucket.take()) {
        this.#later(line, line.bucket);
        return;
      }
      const request = line.waiting.shift();
      if (request === null) return;
      this.#size -= 1;
      this.#options.release(request);
    }
  }

  #later(line: Line, bucket: TokenBucket): void {
    const waitMs = Math.min(Math.ceil(bucket.waitMs), LONGEST_TIMER_MS);
    line.timer = this.#options.clock.setTimer(Math.max(waitMs, 1), () => {
      line.timer = null;
      this.#advance(line);
      this.#options.onReleased();
    });
  }
}
