/** What the parts of a transport share once it is started: the connection, and what its tables hold. */
import type { Clock } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import type { WireMessage } from "../../protocol/wire.ts";
import { type Database, readText } from "../../sqlite/index.ts";
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

/** A message that was given up; `id`: of its line among those that nobody has been told of. */
export type DeadMessage = Parameters<ConsumeOptions["onDead"]>[0] & { readonly id: number };

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
      store.db.run(
        "INSERT INTO petiole_untold (id, holder, queue, reason, raw) VALUES (?, ?, ?, ?, ?)",
        id,
        store.holder,
        queue,
        reason,
        raw,
      );
      return { id, queue, reason, raw, message };
    }
  }
}

/** Inside a write: those of whom nobody was told, for they died or could not store it. This process tells them now. */
export function takeUntold(store: Store): readonly DeadMessage[] {
  const rows = store.db.all(
    "UPDATE petiole_untold SET holder = ? WHERE holder IS NULL OR holder NOT IN (SELECT id FROM petiole_holders) RETURNING id, queue, reason, raw",
    store.holder,
  );
  return rows.map((row) => {
    const raw = readText(row["raw"]);
    return {
      id: row["id"] as number,
      queue: readText(row["queue"]),
      reason: readText(row["reason"]),
      raw,
      message: decodedOrNull(store, raw),
    };
  });
}

export function hasUntold({ db }: Store): boolean {
  const sql =
    "SELECT 1 FROM petiole_untold WHERE holder IS NULL OR holder NOT IN (SELECT id FROM petiole_holders) LIMIT 1";
  return db.get(sql) !== undefined;
}

/** Inside a write. `told` false: another one is to try. */
export function noteTold({ db }: Store, id: number, told: boolean): void {
  db.run(
    told ? "DELETE FROM petiole_untold WHERE id = ?" : "UPDATE petiole_untold SET holder = NULL WHERE id = ?",
    id,
  );
}

function decodedOrNull(store: Store, raw: string): WireMessage | null {
  try {
    return store.decode(raw);
  } catch {
    return null;
  }
}
