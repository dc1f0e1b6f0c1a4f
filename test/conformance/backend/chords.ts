/** Chords: parts are counted once for each task, whoever is last has the chord, and nothing of it is lost. */
import { describe, expect, test } from "vitest";
import type { ResultBackend } from "../../../src/backends/backend.ts";
import type { ChordOutcome, ChordStore } from "../../../src/backends/chords.ts";
import { groupTuple, resultTuple } from "../../../src/protocol/result-tuple.ts";
import { type BackendSuite, meta, PREFIX } from "./harness.ts";

const WAITING: ChordOutcome = { kind: "waiting" };

export function chordTests(suite: BackendSuite): void {
  describe("chords", () => {
    interface Chord {
      readonly backend: ResultBackend;
      readonly chords: ChordStore;
      readonly group: string;
      readonly part: (index: number | null, result: unknown, more?: Partial<Parts>) => Promise<ChordOutcome>;
    }
    interface Parts {
      readonly id: string;
      readonly status: string;
    }

    /** `size` null: not told yet. */
    async function open(
      size: number | null,
      options: Readonly<Record<string, unknown>> = {},
    ): Promise<Chord> {
      const backend = await suite.open({ options });
      const { chords } = backend;
      if (chords === null) throw new Error("no chords");
      const group = suite.id();
      if (size !== null) await backend.store(backend.encodeChordSize(group, size), null);
      return {
        backend,
        chords,
        group,
        part: (index, result, { id = `${group}-${index}`, status = "SUCCESS" } = {}) =>
          chords.count(chords.encodePart(group, { taskId: id, status, result }, index), {
            result: null,
            note: `note of ${group}`,
          }),
      };
    }

    test("the last part has all values, in the order of the header", async () => {
      const { part } = await open(3);
      expect(await part(2, "c")).toEqual(WAITING);
      expect(await part(0, { a: [1] })).toEqual(WAITING);
      expect(await part(1, null)).toEqual({ kind: "complete", values: [{ a: [1] }, null, "c"] });
    });

    test("nobody else has it after that, whatever is delivered again", async () => {
      const { part, chords, group } = await open(2);
      await part(0, "a");
      expect((await part(1, "b")).kind).toBe("complete");
      expect(await part(1, "b")).toEqual(WAITING);
      expect(await part(0, "other")).toEqual(WAITING);
      await chords.end(group);
      expect(await part(1, "b")).toEqual(WAITING);
      expect(await part(0, "a")).toEqual(WAITING);
    });

    test("a part counts once for each task, equal or not; the first value stays", async () => {
      const { part } = await open(3);
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(0, "another")).toEqual(WAITING);
      expect(await part(1, "b")).toEqual(WAITING);
      expect(await part(2, "c")).toEqual({ kind: "complete", values: ["a", "b", "c"] });
    });

    test("parts without a place come last, each once", async () => {
      const { part } = await open(3);
      expect(await part(null, "x", { id: "one" })).toEqual(WAITING);
      expect(await part(null, "y", { id: "one" })).toEqual(WAITING);
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(null, "z", { id: "two" })).toEqual({ kind: "complete", values: ["a", "x", "z"] });
    });

    test("a chord of which the size comes late is complete at the next delivery", async () => {
      const { part, backend, group } = await open(null);
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(1, "b")).toEqual(WAITING);
      await backend.store(backend.encodeChordSize(group, 2), null);
      expect(await part(1, "b")).toEqual({ kind: "complete", values: ["a", "b"] });
    });

    test("a part that failed or was revoked is told once all have ended: the first in order", async () => {
      const { part } = await open(3);
      const error = { exc_type: "ValueError", exc_message: ["x"], exc_module: "builtins" };
      await part(2, error, { status: "FAILURE" });
      await part(1, error, { status: "REVOKED" });
      expect(await part(0, "a")).toMatchObject({
        kind: "failed",
        part: { taskId: expect.stringMatching(/-1$/u), status: "REVOKED", result: error },
      });
    });

    test("the result is stored in the same step, and told to those who wait", async () => {
      const { backend, chords, group } = await open(1);
      const told: unknown[] = [];
      const id = suite.id();
      const watch = backend.watch(id, (one) => told.push(one.result));
      await watch.ready;
      const part = chords.encodePart(group, { taskId: id, status: "SUCCESS", result: 5 }, 0);
      await chords.count(part, { result: backend.encode(meta(id, { result: 5 })), note: "" });
      expect(await suite.getOne(backend, id)).toMatchObject({ status: "SUCCESS", result: 5 });
      // A stored success stays.
      await chords.count(part, { result: backend.encode(meta(id, { status: "FAILURE" })), note: "" });
      expect(await suite.getOne(backend, id)).toMatchObject({ status: "SUCCESS", result: 5 });
      expect(told).toContain(5);
      expect(await suite.store.raw.ttl(PREFIX + id)).toBeGreaterThan(80_000);
    });

    test("a chord may be made longer while it runs", async () => {
      const { part, chords, group } = await open(1);
      await chords.extend(group);
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(0, "b", { id: "added" })).toMatchObject({ kind: "complete" });
    });

    test("results of a group inside a header that was kept stay together, and wait for all of it", async () => {
      const { part, backend, group } = await open(2);
      const inner = groupTuple("inner", [resultTuple("b"), resultTuple("c")]);
      await backend.store(backend.encodeGroup(group, groupTuple(group, [resultTuple("a"), inner])), null);
      expect(await part(0, 1, { id: "a" })).toEqual(WAITING);
      expect(await part(0, 2, { id: "b" })).toEqual(WAITING);
      expect(await part(1, 3, { id: "c" })).toEqual({ kind: "complete", values: [1, [2, 3]] });
    });

    test("a chord whose worker died is taken over, by one; with what it noted", async () => {
      const { part, chords, group } = await open(2);
      await part(0, "a");
      await part(1, "b");
      // Other tests leave some, too.
      const overdue = async () => (await chords.overdue()).filter((one) => one.group === group);
      expect(await overdue()).toEqual([]);
      await suite.store.endChordLeases();
      expect(await overdue()).toEqual([
        { group, note: `note of ${group}`, outcome: { kind: "complete", values: ["a", "b"] } },
      ]);
      expect(await overdue()).toEqual([]);
      await chords.end(group);
      await suite.store.endChordLeases();
      expect(await overdue()).toEqual([]);
    });

    test("nothing is left of a chord that has ended", async () => {
      const { part, chords, group } = await open(2);
      await part(0, "a");
      await part(1, "b");
      await chords.end(group);
      for (const key of ["s", "j", "t", "seen"])
        expect(await suite.store.raw.ttl(`celery-taskset-meta-${group}.${key}`)).toBe(-2);
    });

    test("results that never expire make chords that never do", async () => {
      const backend = await suite.open({ expiresSeconds: 0 });
      const group = suite.id();
      await backend.store(backend.encodeChordSize(group, 2), null);
      expect(await suite.store.raw.ttl(`celery-taskset-meta-${group}.s`)).toBe(-1);
      const count = (index: number): Promise<ChordOutcome> | undefined =>
        backend.chords?.count(
          backend.chords.encodePart(group, { taskId: `t${index}`, status: "SUCCESS", result: index }, index),
          { result: null, note: "" },
        );
      await count(0);
      expect(await count(1)).toEqual({ kind: "complete", values: [0, 1] });
    });

    test("a result that cannot travel is refused", async () => {
      const { chords, group } = await open(1);
      expect(() => chords.encodePart(group, { taskId: "a", status: "SUCCESS", result: () => 1 }, 0)).toThrow(
        /cannot|function/u,
      );
    });
  });
}
