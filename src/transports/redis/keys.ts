/**
 * Every Redis key and channel of the broker in one place. `global_keyprefix` goes in front of each, without a separator.
 * Python counterpart: `kombu/transport/redis.py` (`_q_for_pri`, `keyprefix_queue`, `keyprefix_fanout`).
 */
import type { RedisTransportSettings } from "./options.ts";

export class RedisKeys {
  /** HASH: tag -> `[raw,"",queue]`. Shared with Python. */
  readonly unacked: string;
  /** ZSET: tag -> server time of fetch or last renewal; parked: the time it waits for. Shared with Python. */
  readonly index: string;
  /** ZSET: tag -> absolute end of the lease, server time. Ours only, as all below. */
  readonly lease: string;
  /** ZSET: parked tag -> the time it waits for. */
  readonly parked: string;
  /** SET: tags of redelivered messages whose start was recorded. */
  readonly started: string;
  /** HASH: name of a limit over all workers -> what it is. */
  readonly limits: string;
  /** ZSET: names of limits for which tasks wait in a line -> last look at it. */
  readonly limitLines: string;
  /** Begins the keys of one limit: `scripts/limits.lua.ts`. */
  readonly limitBase: string;
  /** STRING with TTL: at most one sweep a second in the whole fleet. */
  readonly sweep: string;
  /** ZSET: SHA-1 of a line of a dead list that nobody was told of -> when another worker tells (s). */
  readonly untold: string;
  /** HASH: the same SHA-1 -> the line. */
  readonly untoldTexts: string;
  /** ZSET: paused queue -> server time. */
  readonly paused: string;
  readonly prefix: string;
  readonly sep: string;
  readonly steps: readonly number[];
  readonly #settings: RedisTransportSettings;
  readonly #fanoutPrefix: string;

  constructor(settings: RedisTransportSettings, db: number) {
    const { globalKeyprefix: prefix, unackedKey } = settings;
    this.#settings = settings;
    this.prefix = prefix;
    this.sep = settings.sep;
    this.steps = settings.prioritySteps;
    this.unacked = prefix + unackedKey;
    this.index = prefix + settings.unackedIndexKey;
    this.lease = `${prefix}${unackedKey}_lease`;
    this.parked = `${prefix}${unackedKey}_parked`;
    this.started = `${prefix}${unackedKey}_started`;
    this.limits = `${prefix}${unackedKey}_limits`;
    this.limitLines = `${prefix}${unackedKey}_limit_lines`;
    this.limitBase = `${prefix}${unackedKey}_limit`;
    this.sweep = `${prefix}${unackedKey}_sweep`;
    this.untold = `${prefix}${unackedKey}_untold`;
    this.untoldTexts = `${prefix}${unackedKey}_untold_texts`;
    this.paused = `${prefix}${unackedKey}_paused`;
    const { fanoutPrefix } = settings;
    this.#fanoutPrefix =
      prefix + (fanoutPrefix === true ? `/${db}.` : fanoutPrefix === false ? "" : fanoutPrefix);
  }

  /** STRING with TTL: the last fetch call of a node that popped something. */
  fence(node: string): string {
    return `${this.prefix}${this.#settings.unackedKey}_fence:${node}`;
  }

  /** Written and deleted once, to see whether wake-up works. */
  probe(node: string): string {
    return `${this.prefix}${this.#settings.unackedKey}_probe:${node}`;
  }

  /** HASH with TTL: who holds the key of a unique task. */
  unique(key: string): string {
    return `${this.prefix}${this.#settings.unackedKey}_unique:${key}`;
  }

  /** STRING with TTL: a newer message took the place of this one. */
  replaced(id: string): string {
    return `${this.prefix}${this.#settings.unackedKey}_replaced:${id}`;
  }

  /** LIST with TTL: there for a while after a paused queue was resumed. */
  resumed(queue: string): string {
    return `${this.prefix}${this.#settings.unackedKey}_resumed:${queue}`;
  }

  /** LIST of one priority step of a queue. */
  list(queue: string, step: number): string {
    return step === 0 ? this.prefix + queue : `${this.prefix}${queue}${this.sep}${step}`;
  }

  /** All lists of a queue, most urgent first. */
  lists(queue: string): string[] {
    return this.steps.map((step) => this.list(queue, step));
  }

  /** LIST of what cannot be delivered. */
  dead(queue: string): string {
    return `${this.prefix}${queue}.dead`;
  }

  /** SET of `routing_key⟂pattern⟂queue`. */
  binding(exchange: string): string {
    return `${this.prefix}_kombu.binding.${exchange}`;
  }

  /** Channel that a fanout message is published on. */
  channel(exchange: string, routingKey: string): string {
    const base = this.#fanoutPrefix + exchange;
    return routingKey !== "" && this.#settings.fanoutPatterns ? `${base}/${routingKey}` : base;
  }

  /** The step of a priority: the last one that is not above it; below all of them the last one, as kombu's bisect. */
  stepOf(priority: number): number {
    const clamped = Math.max(0, Math.min(9, Math.trunc(priority) || 0));
    let found = this.steps[this.steps.length - 1] ?? 0;
    for (const step of this.steps) {
      if (step > clamped) break;
      found = step;
    }
    return (this.steps[0] ?? 0) > clamped ? (this.steps[this.steps.length - 1] ?? 0) : found;
  }
}
