import { expect, test } from "vitest";
import type { ReadRow } from "../../../src/backends/sql/rows.ts";
import { Watches } from "../../../src/backends/sql/watches.ts";
import { silentLogger } from "../../../src/base/logger.ts";
import type { ResultMeta } from "../../../src/protocol/wire.ts";
import type { SqlDatabase } from "../../../src/sql/index.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

interface Rig {
  readonly clock: VirtualClock;
  readonly watches: Watches;
  /** How often each id was read. */
  readonly reads: Map<string, number>;
  /** Results that are stored, by id. */
  readonly rows: Map<string, ReadRow>;
}

function rig(): Rig {
  const clock = new VirtualClock();
  const reads = new Map<string, number>();
  const rows = new Map<string, ReadRow>();
  const watches = new Watches({
    // Nobody tells: rows are looked at.
    database: { dialect: "mysql" } as unknown as SqlDatabase,
    clock,
    logger: silentLogger,
    decode: (row, id) => ({ taskId: id, status: row.status }) as unknown as ResultMeta,
    read: async (ids) => {
      for (const id of ids) reads.set(id, (reads.get(id) ?? 0) + 1);
      return new Map(ids.flatMap((id) => (rows.has(id) ? [[id, rows.get(id) as ReadRow] as const] : [])));
    },
  });
  return { clock, watches, reads, rows };
}

/** Moves the clock, and lets what that began be read. */
async function pass(clock: VirtualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 100) {
    clock.advance(100);
    await new Promise(setImmediate);
  }
}

const row = (status: string): ReadRow =>
  ({ status, date_done: "", result: "1", traceback: null, meta: null }) as unknown as ReadRow;

test("of more waits than a look takes none is passed over", async () => {
  const { clock, watches, reads } = rig();
  const ids = Array.from({ length: 30_000 }, (_, n) => `id-${n}`);
  for (const id of ids) watches.watch(id, () => {});
  await pass(clock, 8000);
  const counts = ids.map((id) => reads.get(id) ?? 0);
  expect(Math.min(...counts)).toBeGreaterThanOrEqual(2);
  await watches.stop();
});

test("who throws keeps a state from nobody else, and each state is told once", async () => {
  const { clock, watches, rows } = rig();
  const seen: string[] = [];
  watches.watch("a", () => {
    throw new Error("mine");
  });
  const other = watches.watch("a", ({ status }) => seen.push(status));
  rows.set("a", row("STARTED"));
  await pass(clock, 2000);
  expect(seen).toEqual(["STARTED"]);
  other.close();
  rows.set("a", row("SUCCESS"));
  await pass(clock, 2000);
  expect(seen).toEqual(["STARTED"]);
  await watches.stop();
});
