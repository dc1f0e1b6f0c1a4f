import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LeaseTable, readLeases } from "../../../../src/transports/redis/lease-table.ts";
import { seed } from "../../../support/seed.ts";

describe("the lease table", () => {
  test.each([0, 1, 31, 32, 33, 63, 64])("announces a call of %i messages", (n) => {
    const table = new LeaseTable();
    table.announce(7, n);
    expect(readLeases(table.buffer).held).toEqual(Array.from({ length: n }, (_, i) => [7, i + 1]));
  });

  test("says exactly what is held, whatever happens to calls and messages", () => {
    const step = fc.oneof(
      fc.record({
        do: fc.constant("announce" as const),
        n: fc.integer({ min: 1, max: 64 }),
        got: fc.nat(64),
      }),
      fc.record({ do: fc.constant("clear" as const), which: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const table = new LeaseTable();
        const rows = new Map<number, { row: number; left: Set<number> }>();
        let call = 2 ** 40;
        for (const one of steps) {
          if (one.do === "announce") {
            call += 1;
            const row = table.announce(call, one.n);
            const got = Math.min(one.got, one.n);
            if (got === 0) table.free(row);
            else {
              table.truncate(row, got);
              rows.set(call, { row, left: new Set(Array.from({ length: got }, (_, i) => i + 1)) });
            }
          } else {
            const chosen = [...rows][one.which % Math.max(1, rows.size)];
            if (!chosen) continue;
            const [number, { row, left }] = chosen;
            const index = [...left][one.which % left.size] ?? 0;
            left.delete(index);
            if (left.size === 0) {
              table.free(row);
              rows.delete(number);
            } else table.clear(row, index);
          }
        }
        const expected = [...rows].flatMap(([number, { left }]) =>
          [...left].map((index) => `${number}:${index}`),
        );
        const read = readLeases(table.buffer).held.map(([number, index]) => `${number}:${index}`);
        expect(read.sort()).toEqual(expected.sort());
      }),
      { seed },
    );
  });

  test("grows, and what was shared before sees the new rows", () => {
    const table = new LeaseTable();
    const { buffer } = table;
    for (let call = 1; call <= 5000; call++) table.announce(call, 1);
    expect(readLeases(buffer).held.length).toBe(5000);
  });

  test("counts progress", () => {
    const table = new LeaseTable();
    const before = readLeases(table.buffer).progress;
    table.progress();
    expect(readLeases(table.buffer).progress).toBe(before + 1);
  });
});
