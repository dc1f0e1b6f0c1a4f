/** Chords: parts are counted once for each task, whoever is last has the chord, and nothing of it is lost. */
import { describe, expect, onTestFinished, test } from "vitest";
import type { ResultBackend } from "../../../src/backends/backend.ts";
import type { ChordOutcome, ChordStore } from "../../../src/backends/chords.ts";
import { groupTuple, resultTuple } from "../../../src/protocol/result-tuple.ts";
import type { StoredMessages, Transport } from "../../../src/transports/transport.ts";
import { eventually } from "../../support/eventually.ts";
import { type BackendSuite, meta, PREFIX } from "./harness.ts";

const NO_LISTS = "its broker keeps no lists that a backend can push to";
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
      if (size !== null) await backend.store(backend.encodeChordSize({ group, size, members: [] }), null);
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
      await backend.store(backend.encodeChordSize({ group, size: 2, members: [] }), null);
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
      await eventually("told", () => told.includes(5));
      expect(await suite.store.raw.ttl(PREFIX + id)).toBeGreaterThan(80_000);
    });

    test("a chord may be made longer while it runs", async () => {
      const { part, chords, group } = await open(1);
      await chords.extend(group, "added");
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(0, "b", { id: "added" })).toMatchObject({ kind: "complete" });
    });

    test("what adds the same task to it twice adds it once; when it is over nothing is added", async () => {
      const { part, chords, group } = await open(2);
      for (const id of ["one", "two", "one", "two"]) await chords.extend(group, id);
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(1, "b")).toEqual(WAITING);
      expect(await part(0, "c", { id: "one" })).toEqual(WAITING);
      expect(await part(0, "d", { id: "two" })).toMatchObject({ kind: "complete" });
      await chords.end(group);
      await chords.extend(group, "three");
      expect(await part(0, "e", { id: "three" })).toEqual(WAITING);
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

    test("of a chord that has ended nothing is left but that it has", async () => {
      const { part, chords, group, backend } = await open(2);
      const key = (name: string) => `celery-taskset-meta-${group}.${name}`;
      await part(0, "a");
      await part(1, "b");
      await chords.end(group);
      expect(await suite.store.raw.get(key("s"))).toBe("0");
      expect(await suite.store.raw.ttl(key("s"))).toBeGreaterThan(80_000);
      for (const name of ["j", "t", "seen"]) expect(await suite.store.raw.ttl(key(name))).toBe(-2);
      // What sent it runs again, and so do its parts.
      await backend.store(backend.encodeChordSize({ group, size: 2, members: [] }), null);
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(1, "b")).toEqual(WAITING);
      expect(await suite.store.raw.ttl(key("j"))).toBe(-2);
    });

    test("begun a second time while somebody has it, it stays his", async () => {
      const { part, backend, group } = await open(2);
      await part(0, "a");
      expect((await part(1, "b")).kind).toBe("complete");
      await backend.store(backend.encodeChordSize({ group, size: 2, members: [] }), null);
      expect(await part(0, "a")).toEqual(WAITING);
      expect(await part(1, "b")).toEqual(WAITING);
    });

    describe("a body and the end of its chord in one step", () => {
      const list = (): string => `queue-${suite.id()}`;

      async function complete(): Promise<Chord & { readonly transport: Transport }> {
        const chord = await open(2);
        const transport = await suite.store.transport();
        await transport.start(new AbortController().signal);
        onTestFinished(() => transport.stop());
        await chord.part(0, "a");
        await chord.part(1, "b");
        return { ...chord, transport };
      }
      /** null: the transport does not say beforehand where a message goes. */
      const encoded = (transport: Transport, queue: string, count: number): StoredMessages | null =>
        transport.encode(
          Array.from({ length: count }, (_, index) => ({
            message: {
              body: `b${index}`,
              contentType: "text/plain",
              contentEncoding: "utf-8",
              headers: {},
              properties: {},
            },
            exchange: "",
            type: "direct" as const,
            routingKey: queue,
            priority: 0,
          })),
        );

      test.for([1, 1200])("%i messages: once, however often they are given", async (count, { skip }) => {
        const { chords, group, transport } = await complete();
        const queue = list();
        const body = encoded(transport, queue, count);
        if (body === null) return skip(NO_LISTS);
        expect(await chords.push(group, body)).toBe("sent");
        expect(await transport.size(queue)).toBe(count);
        expect(await chords.push(group, body)).toBe("taken");
        expect(await transport.size(queue)).toBe(count);
        await suite.store.endChordLeases();
        expect((await chords.overdue()).filter((one) => one.group === group)).toEqual([]);
        expect(await suite.store.raw.get(`celery-taskset-meta-${group}.s`)).toBe("0");
        for (const name of ["j", "t", "seen", "sent"])
          expect(await suite.store.raw.ttl(`celery-taskset-meta-${group}.${name}`)).toBe(-2);
      });

      test("one that is sent in parts goes on where its worker died", async ({ skip }) => {
        const { chords, group, transport } = await complete();
        const queue = list();
        const body = encoded(transport, queue, 1200);
        if (body === null || !suite.store.redisLists) return skip(NO_LISTS);
        // As left behind by a worker that had sent the first part.
        await suite.store.raw.set(`celery-taskset-meta-${group}.sent`, "500");
        expect(await chords.push(group, body)).toBe("sent");
        expect(await transport.size(queue)).toBe(700);
      });

      test("nothing is sent, and the chord stays, when a list is none", async ({ skip }) => {
        const { chords, group, transport } = await complete();
        const queue = list();
        const body = encoded(transport, queue, 2);
        if (body === null || !suite.store.redisLists) return skip(NO_LISTS);
        const [first, second] = body.messages;
        if (first === undefined || second === undefined) throw new Error("two messages");
        const spoiled = { ...body, messages: [first, { ...second, list: "_kombu.binding.spoiled" }] };
        await transport.declare([{ name: queue, exchange: "spoiled", type: "direct", routingKey: queue }]);
        await expect(chords.push(group, spoiled)).rejects.toThrow(/WRONGTYPE/u);
        expect(await transport.size(queue)).toBe(0);
        await suite.store.endChordLeases();
        expect((await chords.overdue()).filter((one) => one.group === group)).toHaveLength(1);
      });

      test("another store's broker is left to the caller", async () => {
        const { chords, group } = await complete();
        const body = {
          location: { kind: "redis", runId: "other", db: 0, selectAllowed: true },
          messages: [],
        } as const;
        expect(await chords.push(group, body)).toBe("elsewhere");
      });
    });

    test("results that never expire make chords that never do", async ({ skip }) => {
      if (suite.store.rows) skip("its rows have no time to live: a cleanup deletes them");
      const backend = await suite.open({ expiresSeconds: 0 });
      const group = suite.id();
      await backend.store(backend.encodeChordSize({ group, size: 2, members: [] }), null);
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
