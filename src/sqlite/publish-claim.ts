/** A publish into the same file by the scheduler that leads: it asks whether its sender still leads, and notes the run. */
import type { Database } from "./database.ts";

export interface SqlitePublishClaim {
  readonly kind: "sqlite";
  /** Of the file. */
  readonly path: string;
  /** Of the schedule in it. */
  readonly place: string;
  /** Its scheduler has it while it leads. */
  readonly token: number;
  readonly entry: string;
  /** Ms since the epoch. */
  readonly slotMs: number;
  readonly totalRunCount: number;
}

/** Inside the write that publishes. `again`: the slot, or a later one, was published before. */
export function noteRun(db: Database, claim: SqlitePublishClaim): "noted" | "again" | "fenced" {
  const { place, token, entry, slotMs, totalRunCount } = claim;
  if (db.get("SELECT token FROM petiole_schedulers WHERE place = ?", place)?.["token"] !== token)
    return "fenced";
  const last = db.get("SELECT slot FROM petiole_schedule WHERE place = ? AND entry = ?", place, entry)?.[
    "slot"
  ];
  if (typeof last === "number" && last >= slotMs) return "again";
  db.run(
    "INSERT INTO petiole_schedule (place, entry, last, count, slot) VALUES (?1, ?2, ?3, ?4, ?3) ON CONFLICT (place, entry) DO UPDATE SET last = excluded.last, count = excluded.count, slot = excluded.slot",
    place,
    entry,
    slotMs,
    totalRunCount,
  );
  return "noted";
}
