/**
 * Messages whose time is near wait here, under their lease, instead of in the broker: they start to the millisecond and cost
 * nothing. And the one timer for the next message that is parked in the broker.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Holds, RedisDelivery } from "./holds.ts";
import type { RedisTransportSettings } from "./options.ts";
import { parseTag } from "./tags.ts";

export interface ParkOptions {
  readonly settings: RedisTransportSettings;
  readonly clock: Clock;
  readonly holds: Holds;
  readonly node: string;
  readonly random: () => number;
  readonly onDue: (deliveries: readonly RedisDelivery[]) => void;
  /** A parked message's time has come: a FETCH releases it. */
  readonly onRelease: () => void;
}

interface Near {
  readonly delivery: RedisDelivery;
  readonly untilMs: number;
}

/** Who did not park it leaves it to the one who did for this long. */
const STRANGER_MS = 100;
/** Longest timer; a later time is looked at again then. */
const LONGEST_MS = 3_600_000;

export class ParkingLot {
  readonly #options: ParkOptions;
  /** Sorted by time. */
  #near: Near[] = [];
  #nearTimer: Timer | null = null;
  #release: Timer | null = null;
  #releaseAtMs = Number.POSITIVE_INFINITY;
  /** The broker's clock minus our monotonic one, ms; as of the last reply. */
  #offsetMs: number | null = null;
  #round = 0;
  #paused = false;

  constructor(options: ParkOptions) {
    this.#options = options;
  }

  /** The broker's clock as a reply told it. */
  setServerTime(serverMs: number): void {
    this.#offsetMs = serverMs - this.#options.clock.monotonic();
  }

  /** Estimate of the broker's clock. Never ahead of it by more than clocks drift apart between two replies. */
  serverNowMs(): number {
    const { clock } = this.#options;
    return this.#offsetMs === null ? clock.now() : clock.monotonic() + this.#offsetMs;
  }

  /** Keeps a message here when its time is near; false: it belongs into the broker. */
  keep(delivery: RedisDelivery, untilMs: number): boolean {
    const { settings, holds } = this.#options;
    if (this.#near.length >= settings.holdMax || this.#offsetMs === null) return false;
    if (untilMs - this.serverNowMs() >= settings.parkAfterMs) return false;
    if (!holds.leave(delivery, "waiting")) return false;
    let at = this.#near.length;
    while (at > 0 && (this.#near[at - 1]?.untilMs ?? 0) > untilMs) at -= 1;
    this.#near.splice(at, 0, { delivery, untilMs });
    if (at === 0) this.#armNear();
    return true;
  }

  /** A message was parked in the broker by us. */
  parked(untilMs: number): void {
    this.#armRelease(untilMs);
  }

  /** What a FETCH said of the next parked message. */
  learn(next: { readonly atMs: number; readonly tag: string } | null): void {
    if (next === null) return;
    const own = parseTag(next.tag)?.node === this.#options.node;
    this.#armRelease(own ? next.atMs : next.atMs + STRANGER_MS * this.#options.random());
  }

  /** No delivery while paused. */
  setPaused(paused: boolean): void {
    this.#paused = paused;
    if (!paused) this.#armNear();
  }

  /** Takes out all that wait here, with their times. */
  drain(): readonly Near[] {
    const near = this.#near;
    this.#near = [];
    this.#nearTimer?.cancel();
    return near.filter((one) => one.delivery.state === "waiting");
  }

  stop(): void {
    this.#nearTimer?.cancel();
    this.#release?.cancel();
    this.#near = [];
  }

  #armNear(): void {
    this.#nearTimer?.cancel();
    this.#nearTimer = null;
    const first = this.#near[0];
    if (first === undefined || this.#paused) return;
    const delayMs = Math.max(0, first.untilMs - this.serverNowMs());
    this.#nearTimer = this.#options.clock.setTimer(delayMs, () => this.#due());
  }

  #due(): void {
    if (this.#paused) return;
    const { holds } = this.#options;
    const nowMs = this.serverNowMs();
    const due: RedisDelivery[] = [];
    while (this.#near[0] !== undefined && this.#near[0].untilMs <= nowMs) {
      const near = this.#near.shift();
      // A lease that was lost meanwhile has ended the wait.
      if (near?.delivery.state !== "waiting") continue;
      this.#round += 1;
      due.push(holds.redeliver(near.delivery, Math.max(nowMs, near.untilMs), this.#round));
    }
    this.#armNear();
    if (due.length > 0) this.#options.onDue(due);
  }

  #armRelease(atMs: number): void {
    if (this.#release !== null && this.#releaseAtMs <= atMs) return;
    this.#release?.cancel();
    this.#releaseAtMs = atMs;
    const delayMs = Math.min(LONGEST_MS, Math.max(0, Math.ceil(atMs - this.serverNowMs())));
    this.#release = this.#options.clock.setTimer(
      delayMs,
      () => {
        this.#release = null;
        this.#releaseAtMs = Number.POSITIVE_INFINITY;
        this.#options.onRelease();
      },
      { unref: true },
    );
  }
}
