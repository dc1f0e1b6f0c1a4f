/**
 * Events as JSON text, written by hand: a busy worker writes three for each task. Fields stand in Celery's order.
 */
import type { Clock } from "../base/clock.ts";
import type { LamportClock } from "../base/lamport-clock.ts";
import { utcOffset } from "../protocol/events.ts";
import { quote } from "../protocol/json-write.ts";
import { Counted } from "./digits.ts";

/** Daylight saving may begin or end: the offset is looked up again after this time. ms. */
const OFFSET_MS = 60_000;
/** Tasks make up types of their own. */
const TAILS_AT_MOST = 16;

export interface EventTextOptions {
  /** Node name. */
  readonly hostname: string;
  readonly pid: number;
  readonly clock: Clock;
  readonly lamport: LamportClock;
}

export class EventText {
  readonly #clock: Clock;
  readonly #lamport: LamportClock;
  readonly #counted = new Counted();
  readonly #hostname: string;
  readonly #pid: number;
  #head = "";
  #headUntilMs = Number.NEGATIVE_INFINITY;
  /** Many events have the same millisecond. */
  #lastMs = Number.NaN;
  #stamp = "";
  /** The ends of this millisecond's events, by type; an emptied Map would keep its former tables. */
  readonly #types: string[] = [];
  readonly #tails: string[] = [];
  #ends = 0;

  constructor(options: EventTextOptions) {
    this.#hostname = quote(options.hostname);
    this.#pid = options.pid;
    this.#clock = options.clock;
    this.#lamport = options.lamport;
  }

  /**
   * One event, with the next value of the logical clock.
   *
   * @param fields - the inside of a JSON object with a comma in front, or `""`
   */
  write(type: string, fields: string): string {
    const nowMs = this.#clock.now();
    if (nowMs !== this.#lastMs) this.#tick(nowMs);
    return `${this.#head}${this.#counted.write(this.#lamport.forward())}${fields}${this.#tail(type)}`;
  }

  #tail(type: string): string {
    for (let i = 0; i < this.#ends; i++) if (this.#types[i] === type) return this.#tails[i] as string;
    const tail = `${this.#stamp}${type}"}`;
    if (this.#ends < TAILS_AT_MOST) {
      this.#types[this.#ends] = type;
      this.#tails[this.#ends] = tail;
      this.#ends += 1;
    }
    return tail;
  }

  #tick(nowMs: number): void {
    this.#lastMs = nowMs;
    this.#ends = 0;
    // Always with a fraction: a float to Python.
    this.#stamp = `,"timestamp":${(nowMs / 1000).toFixed(3)},"type":"`;
    if (nowMs < this.#headUntilMs && nowMs > this.#headUntilMs - OFFSET_MS) return;
    this.#headUntilMs = nowMs + OFFSET_MS;
    this.#head = `{"hostname":${this.#hostname},"utcoffset":${utcOffset(nowMs)},"pid":${this.#pid},"clock":`;
  }
}
