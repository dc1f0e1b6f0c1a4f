/** How the hold of a message ends. Inside a write. */
import type { Settlement } from "../transport.ts";
import type { TakenMessage } from "./messages.ts";
import { type DeadMessage, putAfterLoss, type Store } from "./store.ts";
import { freeKey } from "./unique.ts";

/** A message that this process has. */
export interface Held {
  readonly id: number;
  readonly taken: TakenMessage;
  /** Deliveries whose holder was lost. */
  readonly count: number;
  /** Its start was recorded. */
  started: boolean;
}

export interface HoldEnd {
  /** false: the hold had ended already. */
  readonly done: boolean;
  /** To be told once it is stored. */
  readonly dead: DeadMessage | null;
}

function plain(done: boolean): HoldEnd {
  return { done, dead: null };
}

/** @param of.held - null: the hold has ended; a result counts all the same, for the task did run */
export function endHold(
  store: Store,
  of: { readonly held: Held | null; readonly as: Settlement; readonly queue: string },
): HoldEnd {
  const { messages, results, dead, clock, holder } = store;
  const { held, as, queue } = of;
  if (as.kind === "ack-with-result") results.write(as.write, clock.now());
  if (held === null) return { done: false, dead: null };
  const { id, count, taken } = held;
  switch (as.kind) {
    case "ack":
    case "ack-with-result": {
      const done = messages.ack(id, holder);
      if (done && as.unique !== undefined) freeKey(store.db, as.unique);
      return plain(done);
    }
    case "ack-early":
      return plain(messages.ack(id, holder));
    case "requeue":
      return plain(messages.requeue(id, holder));
    case "park":
      return plain(messages.park(id, holder, as.untilMs));
    case "lost":
      if (!messages.isHeld(id, holder)) return plain(false);
      return { done: true, dead: putAfterLoss(store, { ...taken, losses: count, started: true }) };
    case "dead": {
      if (!messages.ack(id, holder)) return plain(false);
      dead.bury(queue, { queue, reason: as.reason, count, raw: taken.raw, nowMs: clock.now() });
      return plain(true);
    }
  }
}
