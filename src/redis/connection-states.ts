/**
 * One machine for every connection. One object of the client library is one TCP connection and is never used again.
 *
 * | state      | entered by                          | leaves to                                              |
 * |------------|-------------------------------------|--------------------------------------------------------|
 * | idle       | a new session, a failed first start | dialling (start), closed (stop)                        |
 * | dialling   | new client object, dial deadline    | priming (ready), waiting (error, deadline), idle, closed |
 * | priming    | server facts, scripts               | reclaiming, waiting (LOADING, READONLY, error), idle, closed |
 * | reclaiming | the owner renews what it holds      | live, waiting (error), idle, closed                    |
 * | live       | commands of the owner               | waiting (deadline, close, READONLY …), closed          |
 * | waiting    | full-jitter back-off                | dialling (timer, somebody asks), closed                |
 * | closed     | stop                                | –                                                      |
 *
 * Only a first start goes back to idle, and only where its caller decides about the next attempt.
 */

export type ConnectionState = "idle" | "dialling" | "priming" | "reclaiming" | "live" | "waiting" | "closed";

export const CONNECTION_STATES: readonly ConnectionState[] = [
  "idle",
  "dialling",
  "priming",
  "reclaiming",
  "live",
  "waiting",
  "closed",
];

export const TRANSITIONS: Readonly<Record<ConnectionState, readonly ConnectionState[]>> = {
  idle: ["dialling", "closed"],
  dialling: ["priming", "waiting", "idle", "closed"],
  priming: ["reclaiming", "waiting", "idle", "closed"],
  reclaiming: ["live", "waiting", "idle", "closed"],
  live: ["waiting", "closed"],
  waiting: ["dialling", "closed"],
  closed: [],
};

/** Holds the state; the only way to change it. */
export class ConnectionStateMachine {
  #state: ConnectionState = "idle";
  readonly #onChange: (state: ConnectionState, from: ConnectionState) => void;

  constructor(onChange: (state: ConnectionState, from: ConnectionState) => void) {
    this.#onChange = onChange;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** @throws Error on a transition that the table does not have */
  to(next: ConnectionState): void {
    const from = this.#state;
    if (!TRANSITIONS[from].includes(next)) {
      throw new Error(`a Redis connection cannot go from ${from} to ${next}`);
    }
    this.#state = next;
    this.#onChange(next, from);
  }
}
