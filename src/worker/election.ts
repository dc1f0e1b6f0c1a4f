/**
 * Elections: every worker of a cluster tells its logical clock, and the lowest one acts. Python: `election` of
 * `celery/worker/consumer/gossip.py`.
 *
 * | heard                | of an election we take part in        | of any other      |
 * |----------------------|---------------------------------------|-------------------|
 * | `election` (command) | `worker-elect` is sent                |                   |
 * | `worker-elect`       | noted, and `worker-elect-ack` is sent | the same          |
 * | `worker-elect-ack`   | counted; decided when there are as many as living peers, and every one of them is noted | nothing |
 *
 * As Celery's, a decision waits for as many acks as there are other living workers. Celery then takes what it has noted; here
 * a peer that is late has one second more, so that all decide on the same candidates. The winner is the lowest
 * (clock, `hostname.pid`). A single worker is elected by its own ack.
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { AnyEvent } from "../protocol/events.ts";

/** What a winner is to do for a topic. */
export type ElectionHandler = (action: unknown) => unknown;

export interface ElectionOptions {
  readonly hostname: string;
  readonly pid: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Node names of the other workers that live. */
  peers(): readonly string[];
  send(type: "worker-elect" | "worker-elect-ack", fields: Readonly<Record<string, unknown>>): void;
}

interface Candidate {
  readonly clock: number;
  readonly hostname: string;
  readonly pid: number | null;
  readonly topic: string;
  readonly action: unknown;
}

interface Ballot {
  readonly candidates: Candidate[];
  /** We take part. */
  joined: boolean;
  acks: number;
  late: Timer | null;
  readonly forget: Timer;
}

/** A peer whose candidacy is late. ms. */
const LATE_MS = 1_000;
/** An election that does not end is forgotten. ms. */
const FORGET_MS = 60_000;
const BALLOTS_AT_MOST = 1_000;
const CANDIDATES_AT_MOST = 10_000;
const MAX_ID = 512;

export class Elections {
  readonly #options: ElectionOptions;
  readonly #ballots = new Map<string, Ballot>();
  /** By topic. `task` is there from the start. */
  readonly handlers: Map<string, ElectionHandler> = new Map();

  constructor(options: ElectionOptions) {
    this.#options = options;
  }

  /** Takes part in an election: the remote control command `election`. */
  begin(id: string, topic: string, action: unknown): void {
    const ballot = this.#ballot(id);
    if (ballot === null) return;
    ballot.joined = true;
    this.#options.send("worker-elect", { id, topic, action: action ?? null, cver: 1 });
  }

  onElect(event: AnyEvent): void {
    const { id, topic, action } = event as Partial<Readonly<Record<string, unknown>>>;
    const { clock, hostname, pid } = event;
    if (typeof id !== "string" || typeof topic !== "string" || clock === null) {
      this.#options.logger.error({ hostname }, "a candidacy for an election lacks a field: it is left out");
      return;
    }
    const ballot = this.#ballot(id);
    if (ballot === null || ballot.candidates.length >= CANDIDATES_AT_MOST) return;
    ballot.candidates.push({ clock, hostname, pid, topic, action });
    this.#options.send("worker-elect-ack", { id });
    if (ballot.late !== null) this.#decideWhenComplete(id, ballot);
  }

  onAck(event: AnyEvent): void {
    const { id } = event as Partial<Readonly<Record<string, unknown>>>;
    const ballot = typeof id === "string" ? this.#ballots.get(id) : undefined;
    if (ballot === undefined || !ballot.joined) return;
    ballot.acks += 1;
    if (ballot.acks >= this.#options.peers().length) this.#decideWhenComplete(id as string, ballot);
  }

  stop(): void {
    for (const id of this.#ballots.keys()) this.#forget(id);
  }

  #ballot(id: string): Ballot | null {
    const known = this.#ballots.get(id);
    if (known !== undefined) return known;
    if (typeof id !== "string" || id.length > MAX_ID || this.#ballots.size >= BALLOTS_AT_MOST) {
      this.#options.logger.warn(
        { open: this.#ballots.size },
        "an election is left out: its id is too long, or too many are open",
      );
      return null;
    }
    const forget = this.#options.clock.setTimer(FORGET_MS, () => this.#expire(id), { unref: true });
    const ballot: Ballot = { candidates: [], joined: false, acks: 0, late: null, forget };
    this.#ballots.set(id, ballot);
    return ballot;
  }

  #expire(id: string): void {
    const joined = this.#ballots.get(id)?.joined ?? false;
    this.#forget(id);
    if (joined)
      this.#options.logger.warn({ election: id }, "an election did not end: too few workers answered");
  }

  #forget(id: string): void {
    const ballot = this.#ballots.get(id);
    ballot?.forget.cancel();
    ballot?.late?.cancel();
    this.#ballots.delete(id);
  }

  #decideWhenComplete(id: string, ballot: Ballot): void {
    const { hostname, clock } = this.#options;
    const noted = new Set(ballot.candidates.map((one) => one.hostname));
    const complete = noted.has(hostname) && this.#options.peers().every((peer) => noted.has(peer));
    if (complete) return this.#decide(id, ballot);
    ballot.late ??= clock.setTimer(LATE_MS, () => this.#decide(id, ballot), { unref: true });
  }

  #decide(id: string, ballot: Ballot): void {
    this.#forget(id);
    const { hostname, pid, logger } = this.#options;
    const winner = ballot.candidates.reduce<Candidate | null>(
      (best, one) => (best === null || isBefore(one, best) ? one : best),
      null,
    );
    if (winner === null) return;
    const { topic, action } = winner;
    if (winner.hostname !== hostname || winner.pid !== pid) {
      logger.info({ election: id, winner: winner.hostname }, "another worker was elected");
      return;
    }
    logger.info({ election: id, topic }, "this worker was elected");
    const handler = this.handlers.get(topic);
    if (handler === undefined) {
      logger.error({ election: id, topic }, "nothing is known to be done for this topic of an election");
      return;
    }
    void this.#act(handler, { id, topic, action });
  }

  async #act(
    handler: ElectionHandler,
    what: { readonly id: string; readonly topic: string; readonly action: unknown },
  ): Promise<void> {
    try {
      await handler(what.action);
    } catch (err) {
      const { id, topic } = what;
      this.#options.logger.error({ election: id, topic, err }, "what this worker was elected for failed");
    }
  }
}

function isBefore(a: Candidate, b: Candidate): boolean {
  return a.clock !== b.clock ? a.clock < b.clock : nameOf(a) < nameOf(b);
}

/** As Celery compares them. */
function nameOf({ hostname, pid }: Candidate): string {
  return `${hostname}.${pid}`;
}
