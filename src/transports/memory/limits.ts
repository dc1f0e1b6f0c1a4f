/** Limits over all workers, in one process (`transports/limits.ts`). It knows no clock and no holder's state: both are its callers'. */
import type { Clock } from "../../base/clock.ts";
import {
  type Admission,
  type LimitClaim,
  type LimitRecord,
  type LimitState,
  limitName,
  WAITERS_TOLD,
} from "../limits.ts";
import type { Delivery } from "../transport.ts";
import type { StoredMessage } from "./broker.ts";

/** A slot is kept so long for a task that was called: a lease of the Redis transport. */
const CALL_MS = 30_000;

interface Message {
  readonly queue: string;
  readonly stored: StoredMessage;
}

/** One concurrency limit. */
interface Line {
  record: LimitRecord;
  /** Delivery -> id. */
  readonly running: Map<Delivery, string>;
  /** Id -> end of its time, ms. */
  readonly called: Map<string, number>;
  /** By id, in the order of their coming. */
  readonly waiting: Map<string, { readonly sinceMs: number; readonly messages: Message[] }>;
}

interface Rate {
  record: LimitRecord;
  /** Theoretical arrival time of the next token, ms. */
  arrivalMs: number;
  readonly waiting: Map<string, { readonly sinceMs: number; readonly untilMs: number }>;
}

export class MemoryLimits {
  readonly #lines = new Map<string, Line>();
  readonly #rates = new Map<string, Rate>();
  readonly #putBack: (queue: string, message: StoredMessage) => void;

  constructor(putBack: (queue: string, message: StoredMessage) => void) {
    this.#putBack = putBack;
  }

  /** A message that is to wait in a line is kept here; one that waits for its moment the caller parks. */
  admit(
    delivery: Delivery,
    claim: LimitClaim,
    from: { readonly clock: Clock; readonly message: Message },
  ): Admission {
    const { clock, message } = from;
    const nowMs = clock.now();
    const { id, concurrency } = claim;
    const line = this.#lineOf(claim);
    if (line !== null && concurrency !== null) {
      if (line.running.has(delivery)) return { kind: "run" };
      this.#advance(line, clock);
      const ids = inUse(line, nowMs);
      if (!ids.has(id) && ids.size >= line.record.limit) {
        const waiter = line.waiting.get(id);
        if (waiter === undefined) line.waiting.set(id, { sinceMs: nowMs, messages: [message] });
        else waiter.messages.push(message);
        return { kind: "wait", for: "concurrency", key: concurrency.key };
      }
    }
    const untilMs = this.#token(claim, nowMs);
    if (untilMs > nowMs) {
      if (line?.called.delete(id)) this.#advance(line, clock);
      return { kind: "wait", for: "rate", key: claim.rate?.key ?? "", untilMs };
    }
    line?.called.delete(id);
    line?.running.set(delivery, id);
    return { kind: "run" };
  }

  /** Gives back what a delivery, or an id that was called, has. */
  free(delivery: Delivery, claim: LimitClaim, of: { readonly clock: Clock; readonly ran: boolean }): void {
    const { id, task, concurrency, rate } = claim;
    if (rate !== null && !of.ran) {
      this.#rates.get(limitName("rate", task, rate.key))?.waiting.delete(id);
    }
    if (concurrency === null) return;
    const name = limitName("concurrency", task, concurrency.key);
    const line = this.#lines.get(name);
    if (line === undefined) return;
    line.running.delete(delivery);
    line.called.delete(id);
    this.#advance(line, of.clock);
    if (line.running.size + line.called.size + line.waiting.size === 0) this.#lines.delete(name);
  }

  /** Those in use, by name. */
  read(nowMs: number): readonly LimitState[] {
    const states: [string, LimitState][] = [];
    for (const [name, { record, waiting, ...line }] of this.#lines) {
      const holders = [...inUse({ ...line, record, waiting }, nowMs)].sort();
      if (holders.length + waiting.size === 0) continue;
      const waiters = [...waiting].map(([id, { sinceMs }]) => ({ id, sinceMs, untilMs: null }));
      states.push([name, stateOf("concurrency", record, { holders, waiters, freeAtMs: null })]);
    }
    for (const [name, { record, arrivalMs, waiting }] of this.#rates) {
      if (waiting.size === 0) continue;
      const waiters = [...waiting].map(([id, one]) => ({ id, ...one }));
      waiters.sort((a, b) => a.untilMs - b.untilMs);
      const freeAtMs = arrivalMs - (record.limit - 1) * intervalMs(record);
      states.push([name, stateOf("rate", record, { holders: [], waiters, freeAtMs })]);
    }
    return states.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, state]) => state);
  }

  #lineOf({ task, concurrency }: LimitClaim): Line | null {
    if (concurrency === null) return null;
    const record = { task, ...concurrency, perSecond: null };
    const name = limitName("concurrency", task, concurrency.key);
    let line = this.#lines.get(name);
    if (line === undefined) {
      line = { record, running: new Map(), called: new Map(), waiting: new Map() };
      this.#lines.set(name, line);
    }
    line.record = record;
    return line;
  }

  /** The moment that an id may start at. */
  #token({ id, task, rate }: LimitClaim, nowMs: number): number {
    if (rate === null) return nowMs;
    const name = limitName("rate", task, rate.key);
    const record = { task, key: rate.key, limit: rate.burst, perSecond: rate.perSecond };
    const known = this.#rates.get(name) ?? { record, arrivalMs: 0, waiting: new Map() };
    this.#forgetOldest(nowMs);
    this.#rates.set(name, known);
    known.record = record;
    let untilMs = known.waiting.get(id)?.untilMs;
    if (untilMs === undefined) {
      const arrivalMs = Math.max(known.arrivalMs, nowMs);
      untilMs = arrivalMs - (rate.burst - 1) * intervalMs(record);
      known.arrivalMs = arrivalMs + intervalMs(record);
      if (untilMs > nowMs) known.waiting.set(id, { sinceMs: nowMs, untilMs });
    }
    if (untilMs <= nowMs) known.waiting.delete(id);
    return untilMs;
  }

  /** Of rates that nobody waits for; each token looks at one, so that they cannot pile up. */
  #forgetOldest(nowMs: number): void {
    for (const [name, rate] of this.#rates) {
      this.#rates.delete(name);
      if (rate.waiting.size > 0 || rate.arrivalMs > nowMs) this.#rates.set(name, rate);
      return;
    }
  }

  /** Calls those whose turn it is. */
  #advance(line: Line, clock: Clock): void {
    const nowMs = clock.now();
    const ids = inUse(line, nowMs);
    const called: Message[] = [];
    for (const [id, { messages }] of line.waiting) {
      if (ids.size >= line.record.limit) break;
      line.waiting.delete(id);
      called.push(...messages);
      if (ids.has(id)) continue;
      ids.add(id);
      line.called.set(id, nowMs + CALL_MS);
      clock.setTimer(CALL_MS, () => this.#advance(line, clock), { unref: true });
    }
    for (const { queue, stored } of called.toReversed()) this.#putBack(queue, stored);
  }
}

/** Ids that run or were called; those whose time is over are forgotten. */
function inUse({ running, called }: Line, nowMs: number): Set<string> {
  for (const [id, untilMs] of called) if (untilMs <= nowMs) called.delete(id);
  return new Set([...running.values(), ...called.keys()]);
}

function intervalMs({ perSecond }: LimitRecord): number {
  return 1000 / (perSecond ?? 1);
}

function stateOf(
  kind: LimitState["kind"],
  record: LimitRecord,
  of: Pick<LimitState, "holders" | "waiters" | "freeAtMs">,
): LimitState {
  const { waiters } = of;
  return { kind, ...record, ...of, waiting: waiters.length, waiters: waiters.slice(0, WAITERS_TOLD) };
}
