/**
 * Elections: every worker of a cluster tells its logical clock, and the lowest one acts. Python: `election` of
 * `celery/worker/consumer/gossip.py`.
 *
 * | heard                | before the decision                                                            | after it |
 * |----------------------|--------------------------------------------------------------------------------|----------|
 * | `election` (command) | `worker-elect` is sent                                                         | nothing; a second time: a new election |
 * | `worker-elect`       | noted; `worker-elect-ack` is owed                                              | acknowledged |
 * | `worker-elect-ack`   | counted; decided when there are as many as other living workers                | nothing |
 *
 * Celery's rule: whoever has heard as many acks as there are other living workers decides at once, on the candidates noted by
 * then; the lowest (clock, `hostname.pid`) has won. All hear all events in one order, so all name the same winner, whether
 * they take part or not.
 * Celery's workers acknowledge at once, count only what comes after they have joined, and die of a decision on one candidate
 * (IndexError in kombu's `sort_heap`). So ours owe their acks until every living worker is noted, for a second at most: a
 * cluster decides on all candidates, unless Celery's workers have decided before. Ours count as the first of Celery's does:
 * from its candidacy on.
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
  /** The other workers that live. `holdsAcks`: it is of our kind. */
  peers(): readonly { readonly hostname: string; readonly holdsAcks: boolean }[];
  send(type: "worker-elect" | "worker-elect-ack", fields: Readonly<Record<string, unknown>>): void;
}

interface Candidate {
  readonly clock: number;
  readonly hostname: string;
  readonly pid: number | null;
  readonly topic: string;
  readonly action: unknown;
  /** Acks that were heard before. */
  readonly acksBefore: number;
}

interface Ballot {
  readonly candidates: Candidate[];
  /** We take part. */
  joined: boolean;
  acks: number;
  /** Acks that we owe. */
  owed: number;
  /** Until when we owe them; false: no longer. */
  late: Timer | null | false;
  winner: Candidate | null;
  forget: Timer;
}

/** A candidate that is late. ms. */
const LATE_MS = 1_000;
/** What comes after a decision belongs to it. ms. */
const DECIDED_MS = 5_000;
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
    const known = this.#ballots.get(id);
    if (known?.joined === true && known.winner !== null) this.#forget(id);
    const ballot = this.#ballot(id);
    if (ballot === null) return;
    ballot.joined = true;
    if (ballot.winner === null)
      this.#options.send("worker-elect", { id, topic, action: action ?? null, cver: 1 });
    else this.#tell(id, ballot.winner);
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
    if (ballot.winner === null)
      ballot.candidates.push({ clock, hostname, pid, topic, action, acksBefore: ballot.acks });
    ballot.owed += 1;
    if (ballot.late === false || ballot.winner !== null || this.#isComplete(ballot)) this.#pay(id, ballot);
    else ballot.late ??= this.#after(LATE_MS, () => this.#pay(id, ballot));
  }

  onAck(event: AnyEvent): void {
    const { id } = event as Partial<Readonly<Record<string, unknown>>>;
    const ballot = typeof id === "string" ? this.#ballots.get(id) : undefined;
    if (ballot === undefined || ballot.winner !== null) return;
    ballot.acks += 1;
    if (this.#isDecided(ballot, event.hostname)) this.#decide(id as string, ballot);
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
    const forget = this.#after(FORGET_MS, () => this.#expire(id));
    const ballot: Ballot = {
      candidates: [],
      joined: false,
      acks: 0,
      owed: 0,
      late: null,
      winner: null,
      forget,
    };
    this.#ballots.set(id, ballot);
    return ballot;
  }

  #after(ms: number, run: () => void): Timer {
    return this.#options.clock.setTimer(ms, run, { unref: true });
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
    if (ballot?.late) ballot.late.cancel();
    this.#ballots.delete(id);
  }

  /** With the ack that has just come from `sender`. */
  #isDecided({ candidates, acks }: Ballot, sender: string): boolean {
    const { hostname: own } = this.#options;
    const peers = this.#options.peers();
    const celerys = new Set(peers.filter((one) => !one.holdsAcks).map((one) => one.hostname));
    const first = candidates.find((one) => celerys.has(one.hostname));
    if (first !== undefined) return acks - first.acksBefore >= peers.length && candidates.length > 1;
    const wasHeld = sender === own || peers.some((one) => one.hostname === sender && one.holdsAcks);
    return wasHeld && acks >= peers.length;
  }

  /** Every living worker is noted; we ourselves, if we take part. */
  #isComplete({ candidates, joined }: Ballot): boolean {
    const noted = new Set(candidates.map((one) => one.hostname));
    return (
      (!joined || noted.has(this.#options.hostname)) &&
      this.#options.peers().every(({ hostname }) => noted.has(hostname))
    );
  }

  /** Sends the acks that we owe, and owes none from now on. */
  #pay(id: string, ballot: Ballot): void {
    if (ballot.late) ballot.late.cancel();
    ballot.late = false;
    for (; ballot.owed > 0; ballot.owed -= 1) this.#options.send("worker-elect-ack", { id });
  }

  #decide(id: string, ballot: Ballot): void {
    const winner = ballot.candidates.reduce<Candidate | null>(
      (best, one) => (best === null || isBefore(one, best) ? one : best),
      null,
    );
    if (winner === null) return;
    ballot.winner = winner;
    ballot.candidates.length = 0;
    this.#pay(id, ballot);
    ballot.forget.cancel();
    ballot.forget = this.#after(DECIDED_MS, () => this.#forget(id));
    if (ballot.joined) this.#tell(id, winner);
  }

  #tell(id: string, winner: Candidate): void {
    const { hostname, pid, logger } = this.#options;
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
