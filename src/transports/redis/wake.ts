/**
 * Wakes an idle consumer without a blocking command.
 *
 * | mode | how | falls back to |
 * |---|---|---|
 * | tracking, with a waiting fetch | as the next, and of the first list a FETCH waits in the server (`waiting-fetch.ts`); only with `wake: auto` | tracking |
 * | tracking | a connection of its own: `CLIENT TRACKING ON OPTIN NOLOOP`; going idle = `CLIENT CACHING YES` + `EXISTS lists`; the server pushes `invalidate` when one changes | tracking-redirect |
 * | tracking-redirect | the same, the pushes go to a RESP2 subscriber; both connections live and die together | poll |
 * | poll | `EXISTS` on the data connection, 5 ms to 100 ms apart | – |
 *
 * EXISTS looks and arms in one step, so nothing is missed in between. A safety poll repeats it. A mode falls back when the
 * server refuses it, when the first trial push does not come, or when the safety poll found what should have been pushed.
 */
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { TestSignal } from "../../base/test-signal.ts";
import type { RedisConnection } from "../../redis/connection.ts";
import { RedisError } from "../../redis/errors.ts";
import type { RespValue } from "../../redis/resp.ts";
import type { RedisSession, SessionOptions } from "../../redis/session.ts";
import type { FetchCall } from "./fetcher.ts";
import type { RedisTransportSettings } from "./options.ts";
import { WaitingFetch, type WaitingFetchOptions } from "./waiting-fetch.ts";
import { WakeConnections } from "./wake-connections.ts";

export interface WakeOptions {
  readonly settings: RedisTransportSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For the connections of this class; hooks are its own. */
  readonly session: SessionOptions;
  /** The data connection. */
  readonly data: RedisSession;
  /** A key of nobody else, for the trial. */
  readonly probeKey: string;
  readonly random: () => number;
  /** Something may be there. `lists`: which, null = any. */
  readonly onWake: (lists: readonly string[] | null) => void;
  /** Of a waiting fetch. */
  readonly prepare: () => FetchCall | null;
  readonly learn: WaitingFetchOptions["learn"];
}

type Mode = "tracking" | "tracking-redirect" | "poll";

/** How the consumer was woken; for tests. */
export type WokenBy = "fetch" | "push" | "look" | "poll";

/** Pushes that did not come, found by the safety poll, before a mode is given up. */
const MISSED_AT_MOST = 3;
const PROBE_MS = 1000;
const POLL_FROM_MS = 5;
const POLL_TO_MS = 100;
/** A waiting fetch ends after this: it is the safety poll. Never more than half a command's deadline. */
const WAIT_MS = 2500;

export class Wake {
  readonly signals: { readonly woken: TestSignal<WokenBy>; readonly mode: TestSignal<Mode> } = {
    woken: new TestSignal(),
    mode: new TestSignal(),
  };
  readonly #options: WakeOptions;
  readonly #fetch: WaitingFetch;
  #mode: Mode;
  #connections: WakeConnections | null = null;
  /** Lists that are watched; empty while the consumer is busy. Written by `arm` and `disarm`. */
  #lists: readonly string[] = [];
  /** The server has promised a push for them. */
  #armed = false;
  /** The server has answered that the lists are empty, and a push will come: what is published from now on is pushed. */
  #waiting = false;
  /** Something was pushed since the last look. */
  #pushed = false;
  #missed = 0;
  /** undefined: no trial yet; null: it runs; then its result. */
  #proved: boolean | null | undefined = undefined;
  #safety: Timer | null = null;
  #poll: Timer | null = null;
  #pollMs = POLL_FROM_MS;
  #probe: Timer | null = null;
  #stopped = false;

  constructor(options: WakeOptions) {
    this.#options = options;
    const { wake, commandDeadlineMs } = options.settings;
    this.#mode = wake === "auto" ? "tracking" : wake;
    this.#fetch = new WaitingFetch({
      clock: options.clock,
      logger: options.logger,
      data: options.data,
      timeoutMs: Math.min(WAIT_MS, commandDeadlineMs / 2),
      learn: options.learn,
      onEnd: () => {
        this.#armed = false;
        this.#waiting = false;
        this.signals.woken.signal("fetch");
      },
    });
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** A FETCH waits in the server: no other may be sent until it is answered. */
  get fetches(): boolean {
    return this.#fetch.open;
  }

  /** Lets a FETCH that waits run now. */
  hurry(): void {
    this.#fetch.hurry();
  }

  /** Gives up a FETCH that waits: nobody can be told to let it run. */
  cancel(): void {
    this.#fetch.cancel();
  }

  /** For tests: see `#waiting`. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** The consumer found nothing in these lists and is idle: look once more, and wake it when something comes. */
  arm(lists: readonly string[]): void {
    this.#lists = lists;
    this.#pollMs = POLL_FROM_MS;
    this.#look();
  }

  /** The consumer is busy, or takes nothing. */
  disarm(): void {
    this.#lists = [];
    this.#armed = false;
    this.#waiting = false;
    this.#safety?.cancel();
    this.#poll?.cancel();
    this.#safety = null;
    this.#poll = null;
  }

  stop(): void {
    this.#stopped = true;
    this.disarm();
    this.#probe?.cancel();
    this.#connections?.stop();
  }

  /** `repeat`: a push was promised since the last look, so there should be nothing to find. */
  #look(repeat = false): void {
    if (this.#stopped || this.#lists.length === 0) return;
    if (this.#mode === "poll") {
      this.#schedulePoll();
      return;
    }
    const session = this.#open();
    if (session.state === "live") void this.#check(session, repeat);
    // Until the connection stands (it calls `#look` itself) the data connection is asked.
    else this.#schedulePoll();
  }

  async #check(session: RedisSession, repeat: boolean): Promise<void> {
    const { connection } = session;
    // Only an answered one knows whether there is something.
    if (connection === null || this.#fetch.open) return;
    this.#poll?.cancel();
    this.#poll = null;
    const probing = this.#proved === undefined;
    this.#armed = true;
    this.#waiting = false;
    this.#pushed = false;
    try {
      const [caching, found] = await connection.corked(() => this.#send(connection, probing));
      if (caching instanceof RedisError) throw caching;
      if (found instanceof RedisError) throw found;
      if (this.#stopped || this.#lists.length === 0) return;
      if (!this.#fetch.open) this.#armSafety();
      if (probing && this.#proved === undefined) this.#startProbe();
      if (found === 0) {
        this.#waiting = this.#armed && !this.#pushed;
        return;
      }
      if (repeat && !this.#pushed) this.#noteMissed();
      this.#wake(null, "look");
    } catch (error) {
      this.#refused(error);
    }
  }

  /** Arms the lists in one write; behind that the FETCH that waits for the first of them, where one may. */
  #send(connection: RedisConnection, probing: boolean): Promise<unknown[]> {
    const { settings, probeKey, prepare } = this.#options;
    const [first] = this.#lists;
    const mayWait = settings.wake === "auto" && this.#mode === "tracking" && this.#proved === true;
    const call = mayWait && this.#fetch.usable ? prepare() : null;
    const watched = call === null ? this.#lists : this.#lists.slice(1);
    const keys = probing ? [...watched, probeKey] : watched;
    const armed =
      keys.length === 0
        ? Promise.resolve([null, 0])
        : connection.pipeline([
            ["client", "caching", "yes"],
            ["exists", ...keys],
          ]);
    if (call !== null && first !== undefined) {
      this.#fetch.start({ call, connection, clientId: this.#connections?.clientId ?? 0, list: first });
    }
    return armed;
  }

  #armSafety(): void {
    const { settings, clock, random } = this.#options;
    this.#safety?.cancel();
    const base = this.#proved === true ? settings.pollIntervalMs : settings.pollIntervalMs / 2;
    this.#safety = clock.setTimer(
      base * (0.9 + 0.2 * random()),
      () => {
        this.#safety = null;
        this.#look(this.#armed);
      },
      { unref: true },
    );
  }

  #wake(lists: readonly string[] | null, by: WokenBy): void {
    this.#armed = false;
    this.#waiting = false;
    this.signals.woken.signal(by);
    this.#options.onWake(lists);
  }

  #hear([kind, keys]: readonly RespValue[]): void {
    if (kind !== "invalidate") return;
    this.#onPush(Array.isArray(keys) ? keys.filter((key) => typeof key === "string") : null);
  }

  /** A push: `keys` null when everything was flushed, or where the protocol does not tell. */
  #onPush(keys: readonly string[] | null): void {
    if (this.#stopped) return;
    const { probeKey } = this.#options;
    if (keys?.includes(probeKey) || (keys === null && this.#proved === null)) {
      if (this.#proved === null) this.#settleProbe(true);
      if (keys?.length === 1) return;
    }
    if (this.#lists.length === 0) return;
    const named = keys === null ? null : this.#lists.filter((list) => keys.includes(list));
    if (named !== null && named.length === 0) return;
    this.#pushed = true;
    this.#wake(named, "push");
  }

  #startProbe(): void {
    this.#proved = null;
    const { data, clock, probeKey } = this.#options;
    this.#probe = clock.setTimer(PROBE_MS, () => this.#settleProbe(false), { unref: true });
    data.command("set", [probeKey, "1", "PX", PROBE_MS]).catch(() => {
      // Nothing was written, so nothing can be said; the next look tries again.
      this.#probe?.cancel();
      if (this.#proved === null) this.#proved = undefined;
    });
  }

  #settleProbe(proved: boolean): void {
    this.#probe?.cancel();
    this.#probe = null;
    if (this.#stopped || this.#proved !== null) return;
    this.#proved = proved;
    if (proved) this.signals.mode.signal(this.#mode);
    else this.#fallBack("no push came for a key that was written");
  }

  #noteMissed(): void {
    this.#missed += 1;
    if (this.#missed >= MISSED_AT_MOST) this.#fallBack("pushes did not come");
  }

  #refused(error: unknown): void {
    if (this.#stopped) return;
    if (error instanceof RedisError && (error.kind === "other" || error.kind === "noperm")) {
      this.#fallBack(error.message);
    } else if (this.#lists.length > 0) this.#schedulePoll();
  }

  #fallBack(reason: string): void {
    if (this.#mode === "poll") return;
    const from = this.#mode;
    const { wake } = this.#options.settings;
    this.#mode = from === "tracking" && wake === "auto" ? "tracking-redirect" : "poll";
    this.#options.logger.info({ from, to: this.#mode, reason }, "wake-up by the server does not work here");
    this.#probe?.cancel();
    this.#proved = undefined;
    this.#missed = 0;
    this.#connections?.stop();
    this.#connections = null;
    if (this.#mode === "poll") this.signals.mode.signal("poll");
    this.#look();
  }

  #schedulePoll(): void {
    if (this.#poll !== null || this.#lists.length === 0) return;
    const { clock, data } = this.#options;
    const delayMs = this.#pollMs;
    this.#pollMs = Math.min(POLL_TO_MS, this.#pollMs * 2);
    this.#poll = clock.setTimer(
      delayMs,
      () => {
        this.#poll = null;
        if (this.#stopped || this.#lists.length === 0) return;
        data.command("exists", this.#lists).then(
          (found) => {
            if (this.#stopped || this.#lists.length === 0) return;
            if (found !== 0) this.#wake(null, "poll");
            else if (this.#mode === "poll" || this.#connections?.session.state !== "live")
              this.#schedulePoll();
          },
          () => this.#schedulePoll(),
        );
      },
      { unref: true },
    );
  }

  #open(): RedisSession {
    if (this.#connections !== null) return this.#connections.session;
    const connections = new WakeConnections({
      session: this.#options.session,
      logger: this.#options.logger,
      redirect: this.#mode === "tracking-redirect",
      onPush: (push) => this.#hear(push),
      onLive: () => this.#look(),
      onLost: () => {
        this.#armed = false;
        this.#waiting = false;
        this.#look();
      },
      onRefused: (error) => this.#refused(error),
    });
    this.#connections = connections;
    connections.start();
    return connections.session;
  }
}
