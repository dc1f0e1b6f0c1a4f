/**
 * Puts back what nobody renews any more: messages of dead workers of our kind after their lease, of others after the
 * visibility timeout. Any worker may do it; a gate in Redis keeps it to about one sweep a second in the whole fleet.
 *
 * Not within `sweep_grace` of a (re)connect: after an outage live holders must have had their chance to renew. A server clock
 * that ran ahead of our monotonic one counts as a reconnect.
 *
 * Where to: `losses.ts`.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { TestSignal } from "../../base/test-signal.ts";
import { decodeEnvelope } from "../../protocol/envelope.ts";
import type { Limits, WireMessage } from "../../protocol/wire.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import type { RedisSession } from "../../redis/session.ts";
import { afterLoss, lossesAfter } from "../losses.ts";
import { matchingQueues, parseBindings } from "./bindings.ts";
import { deliveryCountOf } from "./holds.ts";
import type { RedisKeys } from "./keys.ts";
import { deadLine, marked, moveEntry, secondsText } from "./moves.ts";
import type { RedisTransportSettings } from "./options.ts";
import { SWEEP } from "./scripts/lease.lua.ts";
import { PARK } from "./scripts/settle.lua.ts";
import { sha1 } from "./sha1.ts";
import { newestFirst, parkedTag, parseTag } from "./tags.ts";
import { parseUnackedValue, unackedValue } from "./unacked-value.ts";
import type { Untold } from "./untold.ts";

export interface SweeperOptions {
  readonly session: RedisSession;
  readonly settings: RedisTransportSettings;
  readonly keys: RedisKeys;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: Limits;
  readonly defaultQueue: string;
  readonly random: () => number;
  /** Tags of strangers need one of ours to be parked under. */
  readonly node: string;
  readonly untold: Untold;
}

/** What became of one entry; for tests. */
export interface Swept {
  readonly tag: string;
  readonly to: "queue" | "parked" | "dead";
  readonly queue: string;
  readonly count: number;
}

interface Found {
  readonly tag: string;
  readonly score: number;
  readonly started: boolean;
  readonly value: Buffer;
}

const TAGS_AT_MOST = 1000;
const BYTES_AT_MOST = 1024 * 1024;
const GATE_MS = 1000;
/** The server's clock ran ahead of ours by more than this between two sweeps: somebody set it. */
const JUMP_MS = 5000;

export class Sweeper {
  readonly signals: { readonly swept: TestSignal<Swept>; readonly sweep: TestSignal<number> } = {
    swept: new TestSignal(),
    sweep: new TestSignal(),
  };
  readonly #options: SweeperOptions;
  #timer: Timer | null = null;
  /** Monotonic ms; no sweep before. */
  #graceUntil = Number.POSITIVE_INFINITY;
  /** Server clock and ours at the last sweep. */
  #lastSweep: { readonly serverMs: number; readonly ownMs: number } | null = null;
  #parks = 0;
  #stopped = false;

  constructor(options: SweeperOptions) {
    this.#options = options;
  }

  /** On every (re)connect. */
  connected(): void {
    this.#graceUntil = this.#options.clock.monotonic() + this.#options.settings.sweepGraceMs;
    this.#lastSweep = null;
    if (this.#timer === null) this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #schedule(): void {
    if (this.#stopped) return;
    const { clock, settings, random } = this.#options;
    const delayMs = Math.max(
      settings.sweepIntervalMs * (0.75 + 0.5 * random()),
      Math.min(this.#graceUntil - clock.monotonic(), settings.sweepGraceMs),
    );
    this.#timer = clock.setTimer(
      delayMs,
      () => {
        void this.#round().finally(() => this.#schedule());
      },
      { unref: true },
    );
  }

  /** Never rejects. */
  async #round(): Promise<void> {
    const { session, clock, logger } = this.#options;
    try {
      for (let gateMs = GATE_MS; !this.#stopped; gateMs = 0) {
        const { connection } = session;
        if (connection === null || session.state !== "live" || clock.monotonic() < this.#graceUntil) return;
        if (!(await this.#sweep(connection, gateMs))) return await this.#options.untold.look(connection);
      }
    } catch (error) {
      logger.debug({ err: error }, "sweep failed, it will be repeated");
    }
  }

  /** true: there may be more. */
  async #sweep(connection: RedisConnection, gateMs: number): Promise<boolean> {
    const { settings, keys, clock } = this.#options;
    const reply = (await connection.script(SWEEP, {
      keys: [keys.unacked, keys.index, keys.lease, keys.started, keys.sweep],
      args: [settings.visibilityTimeoutMs / 1000, TAGS_AT_MOST, gateMs, BYTES_AT_MOST],
      form: "bytes",
    })) as Buffer[];
    const serverMs = Number(reply[0]?.toString()) * 1000;
    const more = reply[1]?.toString() ?? "";
    if (more === "") return false;
    if (this.#clockJumped(serverMs, clock.monotonic())) return false;
    const found: Found[] = [];
    for (let at = 2; at + 3 < reply.length; at += 4) {
      found.push({
        tag: String(reply[at]),
        score: Number(reply[at + 1]),
        started: String(reply[at + 2]) === "1",
        value: reply[at + 3] ?? Buffer.alloc(0),
      });
    }
    // In order, each sent without waiting for the one before: the order in the list is the order of sending.
    await Promise.all(newestFirst(found).map((one) => this.#putBack(connection, one, serverMs)));
    this.signals.sweep.signal(found.length);
    return more === "1" && found.length > 0;
  }

  #clockJumped(serverMs: number, ownMs: number): boolean {
    const last = this.#lastSweep;
    this.#lastSweep = { serverMs, ownMs };
    if (last === null || serverMs - last.serverMs - (ownMs - last.ownMs) <= JUMP_MS) return false;
    this.#options.logger.warn(
      { aheadMs: serverMs - last.serverMs },
      "the clock of Redis jumped ahead, no sweep for a while",
    );
    this.#graceUntil = ownMs + this.#options.settings.sweepGraceMs;
    return true;
  }

  async #putBack(connection: RedisConnection, found: Found, serverMs: number): Promise<void> {
    const value = parseUnackedValue(found.value.toString("latin1"));
    const message = value === null ? null : this.#decode(value.raw);
    if (value === null || message === null) {
      await this.#bury(connection, found, {
        list: this.#options.defaultQueue,
        queue: value?.exchange === "" ? value.routingKey : this.#options.defaultQueue,
        reason: "an unacked entry that cannot be read",
        raw: value?.raw ?? found.value.toString("latin1"),
        count: 0,
        serverMs,
      });
      return;
    }
    const queue =
      (value.exchange === "" ? value.routingKey : await this.#lookUp(connection, value)) ||
      this.#options.defaultQueue;
    const tag = parseTag(found.tag);
    if (tag !== null && tag.step !== null) {
      // A parked one, a visibility timeout after its time: nobody of our kind was there. It was no loss.
      await this.#push(connection, found, {
        queue,
        step: tag.step,
        raw: value.raw,
        count: deliveryCountOf(message),
      });
      return;
    }
    const count = lossesAfter(deliveryCountOf(message), found.started);
    const next = afterLoss(count, this.#options.settings);
    const step = this.#options.keys.stepOf(priorityOf(message));
    switch (next.to) {
      case "queue":
        return this.#push(connection, found, { queue, step, raw: marked(value.raw, count), count });
      case "parked": {
        const untilMs = serverMs + next.delayMs;
        return this.#park(connection, found, { queue, step, raw: marked(value.raw, count), count, untilMs });
      }
      case "dead": {
        const { reason } = next;
        return this.#bury(connection, found, { list: queue, queue, reason, raw: value.raw, count, serverMs });
      }
    }
  }

  #decode(raw: string): WireMessage | null {
    try {
      return decodeEnvelope(Buffer.from(raw, "latin1").toString("utf8"), this.#options.limits);
    } catch {
      return null;
    }
  }

  async #push(
    connection: RedisConnection,
    found: Found,
    to: { readonly queue: string; readonly step: number; readonly raw: string; readonly count: number },
  ): Promise<void> {
    const moved = await moveEntry(connection, this.#options.keys, {
      tag: found.tag,
      value: found.value,
      list: this.#options.keys.list(to.queue, to.step),
      text: Buffer.from(to.raw, "latin1"),
      end: "front",
    });
    if (moved !== 1) return;
    this.#options.logger.info({ queue: to.queue, tag: found.tag, count: to.count }, "message restored");
    this.signals.swept.signal({ tag: found.tag, to: "queue", queue: to.queue, count: to.count });
  }

  async #park(
    connection: RedisConnection,
    found: Found,
    to: {
      readonly queue: string;
      readonly step: number;
      readonly raw: string;
      readonly count: number;
      readonly untilMs: number;
    },
  ): Promise<void> {
    const { keys, node, logger } = this.#options;
    this.#parks += 1;
    const own = parseTag(found.tag) !== null;
    const tag = parkedTag(to.step, own ? found.tag : `ts1:${node}:0:${this.#parks}`);
    const gone = await connection.script(PARK, {
      keys: [keys.unacked, keys.index, keys.lease, keys.parked, keys.started],
      args: [
        found.tag,
        tag,
        secondsText(to.untilMs),
        sha1(found.value),
        Buffer.from(unackedValue(to.raw, to.queue), "latin1"),
      ],
    });
    if (gone !== 0) return;
    logger.info({ queue: to.queue, tag: found.tag, count: to.count }, "message restored after a back-off");
    this.signals.swept.signal({ tag: found.tag, to: "parked", queue: to.queue, count: to.count });
  }

  async #bury(
    connection: RedisConnection,
    found: Found,
    dead: {
      /** Whose dead list. */
      readonly list: string;
      readonly queue: string;
      readonly reason: string;
      readonly raw: string;
      readonly count: number;
      readonly serverMs: number;
    },
  ): Promise<void> {
    const { keys, logger, untold } = this.#options;
    const { queue, reason, count } = dead;
    const { tag, value } = found;
    const bytes = Buffer.from(dead.raw, "latin1");
    const text = Buffer.concat([deadLine({ queue, reason, atMs: dead.serverMs, count }), bytes]);
    const moved = await untold.bury(
      connection,
      { tag, value, list: keys.dead(dead.list), text },
      { queue, reason, raw: bytes.toString("utf8"), message: this.#decode(dead.raw) },
    );
    if (moved !== 1) return;
    logger.error({ queue, tag, reason, count }, "message moved to the dead list");
    this.signals.swept.signal({ tag, to: "dead", queue, count });
  }

  /**
   * The queue of a message that a Python worker took from a named exchange. kombu puts it back into every queue that is
   * bound; one is enough, and two would run it twice.
   */
  async #lookUp(
    connection: RedisConnection,
    value: { readonly exchange: string; readonly routingKey: string },
  ): Promise<string> {
    const { keys, defaultQueue } = this.#options;
    const members = (await connection.command("smembers", [keys.binding(value.exchange)])) as string[];
    const bindings = parseBindings(members, keys.sep);
    const queues = matchingQueues(bindings, value.routingKey);
    return queues[0] ?? bindings[0]?.queue ?? defaultQueue;
  }
}

function priorityOf(message: WireMessage): number {
  const { priority } = message.properties;
  return typeof priority === "number" ? priority : 0;
}
