/** Unique tasks: what the broker decides. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Claim, Transport, UniqueKey, UniqueMessage } from "../../../src/transports/transport.ts";
import { seed } from "../../support/seed.ts";
import { ids, toQueue } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

const HOUR_MS = 3_600_000;

export function uniqueTests(suite: Suite): void {
  const keyOf = (until: UniqueKey["until"] = "done", ttlMs = HOUR_MS): UniqueKey => ({
    key: suite.name("key"),
    ttlMs,
    until,
  });
  const message = (
    queue: string,
    id: string,
    unique: UniqueKey,
    how: Partial<UniqueMessage> = {},
  ): UniqueMessage => ({
    outgoing: toQueue(queue, id),
    id: `${queue}/${id}`,
    unique,
    replace: false,
    debounceMs: 0,
    maxWaitMs: null,
    ...how,
  });
  const send = async (transport: Transport, ...messages: UniqueMessage[]): Promise<readonly string[]> =>
    (await transport.unique.publish(messages, null)).map((id) => id.slice(id.indexOf("/") + 1));
  /** What the worker of a message in `queue` does; ids are names of their queue. */
  const worker = (
    { unique: locks }: Transport,
    queue: string,
    unique: UniqueKey,
  ): { readonly claim: (id: string) => Promise<Claim>; readonly release: (id: string) => Promise<void> } => ({
    claim: (id) => locks.claim(unique, `${queue}/${id}`),
    release: (id) => locks.release(unique, `${queue}/${id}`),
  });

  describe("unique tasks", () => {
    test("one message of a key waits or runs; others are told whose it is", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const [one, two] = [await suite.open("producer"), await suite.open("producer")];
      expect(await send(one, message(queue, "a", unique))).toEqual(["a"]);
      expect(await send(two, message(queue, "b", unique), message(queue, "c", keyOf()))).toEqual(["a", "c"]);
      const inbox = await suite.consume(queue);
      expect(ids(await inbox.take(2))).toEqual(["a", "c"]);
      expect(await worker(one, queue, unique).claim("a")).toEqual({ kind: "run" });
      expect(await send(one, message(queue, "d", unique))).toEqual(["a"]);
      await worker(one, queue, unique).release("a");
      expect(await send(two, message(queue, "e", unique))).toEqual(["e"]);
      expect(ids(await inbox.take(1))).toEqual(["e"]);
    });

    test("one call of several asks in order: the first of a key has it", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const producer = await suite.open("producer");
      const sent = numbered(5).map((id, i) => message(queue, id, i % 2 === 0 ? unique : keyOf()));
      expect(await send(producer, ...sent)).toEqual(["m0", "m1", "m0", "m3", "m0"]);
      expect(await producer.size(queue)).toBe(3);
    });

    test("until start: the key is free as soon as the task starts", async () => {
      const queue = suite.name();
      const unique = keyOf("start");
      const producer = await suite.open("producer");
      await send(producer, message(queue, "a", unique));
      expect(await send(producer, message(queue, "b", unique))).toEqual(["a"]);
      expect(await worker(producer, queue, unique).claim("a")).toEqual({ kind: "run" });
      expect(await send(producer, message(queue, "c", unique))).toEqual(["c"]);
      // Delivered again while another waits: it runs, and leaves that one its key.
      expect(await worker(producer, queue, unique).claim("a")).toEqual({ kind: "run" });
      await worker(producer, queue, unique).release("a");
      expect(await send(producer, message(queue, "d", unique))).toEqual(["c"]);
    });

    test("only the holder frees a key", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const producer = await suite.open("producer");
      await send(producer, message(queue, "a", unique));
      await worker(producer, queue, unique).release("b");
      expect(await send(producer, message(queue, "c", unique))).toEqual(["a"]);
    });

    test("a settlement frees the key in its own step; one whose hold had ended leaves it to who has the message now", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const [producer, inbox] = [await suite.open("producer"), await suite.consume(queue)];
      const end = (id: string): { key: string; id: string } => ({ key: unique.key, id: `${queue}/${id}` });
      await send(producer, message(queue, "a", unique));
      const [a] = await inbox.take(1);
      assert(a);
      expect(await worker(producer, queue, unique).claim("a")).toEqual({ kind: "run" });
      const acked = inbox.consumer.settle(a, { kind: "ack", unique: end("a") });
      expect(await acked).toBe("done");
      expect(await send(producer, message(queue, "b", unique))).toEqual(["b"]);
      // Not its own: the key stays.
      const [b] = await inbox.take(1);
      assert(b);
      expect(await inbox.consumer.settle(b, { kind: "ack", unique: end("z") })).toBe("done");
      expect(await send(producer, message(queue, "c", unique))).toEqual(["b"]);
      expect(await inbox.consumer.settle(b, { kind: "ack", unique: end("b") })).toBe("gone");
      expect(await send(producer, message(queue, "d", unique))).toEqual(["b"]);
    });

    test("a redelivered holder still has its key, and takes a free one again", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const producer = await suite.open("producer");
      await send(producer, message(queue, "a", unique));
      for (let i = 0; i < 2; i++) {
        expect(await worker(producer, queue, unique).claim("a")).toEqual({ kind: "run" });
        expect(await send(producer, message(queue, "b", unique))).toEqual(["a"]);
      }
      await worker(producer, queue, unique).release("a");
      expect(await worker(producer, queue, unique).claim("a")).toEqual({ kind: "run" });
      expect(await send(producer, message(queue, "b", unique))).toEqual(["a"]);
    });

    test("the same publish again sends nothing twice", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const producer = await suite.open("producer");
      const [a, b] = [message(queue, "a", unique), message(queue, "b", unique, { replace: true })];
      expect(await send(producer, a, a)).toEqual(["a", "a"]);
      expect(await send(producer, b, a, b)).toEqual(["b", "a", "b"]);
      expect(await producer.size(queue)).toBe(2);
    });

    test("replace: the newest takes the place of one that waits, not of one that runs", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const producer = await suite.open("producer");
      const sent = numbered(3).map((id) => message(queue, id, unique, { replace: true }));
      expect(await send(producer, ...sent)).toEqual(["m0", "m1", "m2"]);
      const locks = worker(producer, queue, unique);
      expect(await locks.claim("m0")).toEqual({ kind: "replaced" });
      expect(await locks.claim("m2")).toEqual({ kind: "run" });
      expect(await send(producer, message(queue, "late", unique, { replace: true }))).toEqual(["m2"]);
      await locks.release("m2");
      // However late it arrives, and whoever has the key then.
      expect(await locks.claim("m1")).toEqual({ kind: "replaced" });
      await locks.release("m1");
    });

    test("debounce: a start is put off by each newer call, at most as long as said", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const producer = await suite.open("producer");
      const how = { replace: true, debounceMs: 60_000, maxWaitMs: 61_000 };
      const { claim } = worker(producer, queue, unique);
      const from = await suite.broker.now();
      await send(producer, message(queue, "a", unique, how));
      const first = await claim("a");
      const firstMs = first.kind === "later" ? first.untilMs : 0;
      expect(firstMs).toBeGreaterThanOrEqual(Math.floor(from) + 60_000 - 1);
      expect(firstMs).toBeLessThanOrEqual((await suite.broker.now()) + 60_000);
      await suite.until(from + 1200);
      await send(producer, message(queue, "b", unique, how));
      expect(await claim("a")).toEqual({ kind: "replaced" });
      expect(await claim("b")).toEqual({ kind: "later", untilMs: firstMs + 1000 });
    });

    test("debounce: it runs when its time has come", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const producer = await suite.open("producer");
      await send(producer, message(queue, "a", unique, { replace: true, debounceMs: 200 }));
      const claim = await worker(producer, queue, unique).claim("a");
      expect(claim.kind).toBe("later");
      await suite.until(claim.kind === "later" ? claim.untilMs + 1 : 0);
      expect(await worker(producer, queue, unique).claim("a")).toEqual({ kind: "run" });
    });

    test("a key ends with its time, and what held it runs without", async () => {
      const queue = suite.name();
      const unique = keyOf("done", 1000);
      const producer = await suite.open("producer");
      await send(producer, message(queue, "a", unique));
      await suite.until((await suite.broker.now()) + 1100);
      expect(await send(producer, message(queue, "b", unique))).toEqual(["b"]);
      expect(await worker(producer, queue, unique).claim("a")).toEqual({ kind: "run" });
      await worker(producer, queue, unique).release("a");
      expect(await send(producer, message(queue, "c", unique))).toEqual(["b"]);
    });

    test("to an exchange: into each bound queue, once", async () => {
      const [exchange, one, two] = [suite.name("ex"), suite.name(), suite.name()];
      const producer = await suite.open("producer");
      const declared = [one, two].map(
        (name) => ({ name, exchange, type: "topic", routingKey: "a.*" }) as const,
      );
      await producer.declare(declared);
      const unique = keyOf();
      const outgoing = { ...toQueue(one, "a"), exchange, type: "topic" as const, routingKey: "a.b" };
      expect(await send(producer, message(one, "a", unique, { outgoing }))).toEqual(["a"]);
      expect(await send(producer, message(one, "b", unique, { outgoing }))).toEqual(["a"]);
      expect([await producer.size(one), await producer.size(two)]).toEqual([1, 1]);
    });

    test("many callers at once: one message", async () => {
      const queue = suite.name();
      const unique = keyOf();
      const producers = [await suite.open("producer"), await suite.open("producer")];
      const answers = await Promise.all(
        numbered(50).map((id, i) => send(producers[i % 2] as Transport, message(queue, id, unique))),
      );
      expect(new Set(answers.flat()).size).toBe(1);
      expect(await producers[0]!.size(queue)).toBe(1);
    });

    test("whatever is done in whatever order is what the model says", async () => {
      const producer = await suite.open("producer");
      const step = fc.record({
        do: fc.constantFrom("publish", "replace", "again", "claim", "release"),
        key: fc.nat(1),
        n: fc.nat(50),
      });
      const property = fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.constantFrom("start" as const, "done" as const),
        async (steps, until) => {
          const queue = suite.name();
          const keys = [keyOf(until), keyOf(until)];
          const model = new Model(until);
          const [said, wanted]: [string[], string[]] = [[], []];
          const sent: { readonly id: string; readonly key: number; readonly replace: boolean }[] = [];
          for (const { do: what, key, n } of steps) {
            const old = sent[n % Math.max(1, sent.length)];
            if (what === "publish" || what === "replace") {
              sent.push({ id: suite.name("id"), key, replace: what === "replace" });
            } else if (old === undefined) continue;
            const one = what === "publish" || what === "replace" ? sent.at(-1) : old;
            if (one === undefined) continue;
            const unique = keys[one.key] as UniqueKey;
            const at = worker(producer, queue, unique);
            if (what === "claim") {
              said.push((await at.claim(one.id)).kind);
              wanted.push(model.claim(one.key, one.id));
            } else if (what === "release") {
              model.release(one.key, one.id);
              await at.release(one.id);
            } else {
              said.push(...(await send(producer, message(queue, one.id, unique, { replace: one.replace }))));
              wanted.push(model.publish(one));
            }
          }
          expect(said).toEqual(wanted);
          expect(await producer.size(queue)).toBe(model.published);
        },
      );
      await fc.assert(property, { seed, numRuns: 40 });
    });
  });
}

/** The least that does what the contract says. Time does not pass. */
class Model {
  published = 0;
  readonly #until: "start" | "done";
  readonly #holders = new Map<number, { id: string; started: boolean }>();
  readonly #replaced = new Set<string>();

  constructor(until: "start" | "done") {
    this.#until = until;
  }

  publish(one: { readonly id: string; readonly key: number; readonly replace: boolean }): string {
    const holder = this.#holders.get(one.key);
    if (holder?.id === one.id || this.#replaced.has(one.id)) return one.id;
    if (holder !== undefined) {
      if (!one.replace || holder.started) return holder.id;
      this.#replaced.add(holder.id);
    }
    this.#holders.set(one.key, { id: one.id, started: false });
    this.published += 1;
    return one.id;
  }

  claim(key: number, id: string): "run" | "replaced" {
    if (this.#replaced.has(id)) return "replaced";
    const holder = this.#holders.get(key);
    if (holder !== undefined && holder.id !== id) return "run";
    if (this.#until === "start") this.#holders.delete(key);
    else this.#holders.set(key, { id, started: true });
    return "run";
  }

  release(key: number, id: string): void {
    this.#replaced.delete(id);
    if (this.#holders.get(key)?.id === id) this.#holders.delete(key);
  }
}
