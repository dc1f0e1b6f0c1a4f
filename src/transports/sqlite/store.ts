/** What the parts of a transport share once it is started: the connection, and what its tables hold. */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { WireMessage } from "../../protocol/wire.ts";
import type { Database } from "../../sqlite/index.ts";
import { afterLoss, lossesAfter } from "../losses.ts";
import { readDeliveryCount } from "../memory/redelivery.ts";
import type { ConsumeOptions } from "../transport.ts";
import type { DeadLists } from "./dead.ts";
import type { LimitTable } from "./limits.ts";
import type { LostMessage, Messages } from "./messages.ts";
import type { SqliteOptions } from "./options.ts";
import type { ResultTable } from "./results.ts";
import type { Routes } from "./routes.ts";

export interface Store {
  readonly db: Database;
  readonly messages: Messages;
  readonly routes: Routes;
  readonly dead: DeadLists;
  readonly limits: LimitTable;
  readonly results: ResultTable;
  readonly settings: SqliteOptions;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of this transport. */
  readonly holder: number;
  decode(raw: string): WireMessage;
}

export type DeadMessage = Parameters<ConsumeOptions["onDead"]>[0];

/** Inside a write: where a message goes whose holder was lost. What is to be told afterwards, if it was given up. */
export function putAfterLoss(store: Store, lost: LostMessage): DeadMessage | null {
  const { messages, settings, clock, dead } = store;
  const { id, queue, raw } = lost;
  const message = decodedOrNull(store, raw);
  const before = lost.losses ?? (message === null ? 0 : readDeliveryCount(message));
  const count = lossesAfter(before, lost.started);
  messages.countLoss(id, count);
  const next = afterLoss(count, settings);
  switch (next.to) {
    case "queue":
      messages.putBack(id);
      return null;
    case "parked":
      messages.parkLost(id, clock.now() + next.delayMs);
      return null;
    case "dead": {
      const { reason } = next;
      messages.remove(id);
      dead.bury(queue, { queue, reason, count, raw, nowMs: clock.now() });
      return { queue, reason, raw, message };
    }
  }
}

function decodedOrNull(store: Store, raw: string): WireMessage | null {
  try {
    return store.decode(raw);
  } catch {
    return null;
  }
}
