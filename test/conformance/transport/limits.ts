/** Limits over all workers: never more than there may be, in order, without holding anything, and nothing leaks. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type {
  Admission,
  Consumer,
  Delivery,
  LimitClaim,
  LimitState,
  Settlement,
  Transport,
} from "../../../src/transports/transport.ts";
import { eventually } from "../../support/eventually.ts";
import { seed } from "../../support/seed.ts";
import { idOf } from "../inbox.ts";
import { numbered, type Suite } from "./harness.ts";

type Limits = Omit<LimitClaim, "id" | "task">;

/** A worker that asks for each message as soon as it has it, and runs what it may until the test ends it. */
class LimitedWorker {
  readonly transport: Transport;
  readonly consumer: Consumer;
  readonly running: { readonly id: string; readonly delivery: Delivery; readonly claim: LimitClaim }[] = [];
  readonly started: string[] = [];
  readonly answers: { readonly id: string; readonly admission: Admission; readonly delivery: Delivery }[] =
    [];
  mostRunning = 0;
  readonly #task: string;

  constructor(
    transport: Transport,
    queue: string,
    given: { readonly limits: (id: string) => Limits; readonly task: string; readonly prefetch: number },
  ) {
    this.transport = transport;
    this.#task = given.task;
    const ask = async (delivery: Delivery): Promise<void> => {
      const id = idOf(delivery);
      const claim = { id, task: given.task, ...given.limits(id) };
      const admission = await this.consumer.admit(delivery, claim);
      this.answers.push({ id, admission, delivery });
      if (admission.kind !== "run") return;
      this.started.push(id);
      this.running.push({ id, delivery, claim });
      this.mostRunning = Math.max(this.mostRunning, new Set(this.running.map((one) => one.id)).size);
    };
    this.consumer = transport.consume({
      queues: [queue],
      prefetch: given.prefetch,
      onBatch: (batch) => {
        for (const delivery of batch) void ask(delivery);
      },
      onDead: () => {},
      onLost: () => {},
      onState: () => {},
    });
    this.consumer.watchLimits();
  }

  get ids(): string[] {
    return this.running.map((one) => one.id);
  }

  /** Those of its task. */
  async limits(): Promise<readonly LimitState[]> {
    return (await this.transport.readLimits()).filter(({ task }) => task === this.#task);
  }

  /** Ends the oldest run of an id. */
  async end(id: string, as: Settlement = { kind: "ack" }): Promise<"done" | "gone"> {
    const at = this.running.findIndex((one) => one.id === id);
    const [one] = this.running.splice(at, 1);
    if (one === undefined) throw new Error(`${id} does not run`);
    return this.consumer.settle(one.delivery, as);
  }
}

const slots = (limit: number, key = ""): Limits => ({ concurrency: { key, limit }, rate: null });
const rate = (perSecond: number, burst = 1, key = ""): Limits => ({
  concurrency: null,
  rate: { key, perSecond, burst },
});

export function limitTests(suite: Suite): void {
  async function worker(
    queue: string,
    limits: Limits | ((id: string) => Limits),
    options: { readonly task?: string; readonly prefetch?: number } = {},
  ): Promise<LimitedWorker> {
    return new LimitedWorker(await suite.open("worker", { options: suite.broker.takeOverOptions }), queue, {
      limits: typeof limits === "function" ? limits : () => limits,
      task: options.task ?? `task.of.${queue}`,
      prefetch: options.prefetch ?? 100,
    });
  }

  const settled = (what: string, condition: () => boolean | Promise<boolean>): Promise<unknown> =>
    eventually(what, condition, { timeoutMs: 15_000 });
  const started = (one: LimitedWorker, ...ids: readonly string[]): Promise<unknown> =>
    settled(`${ids.join()} started, not ${one.started.join()}`, () => one.started.join() === ids.join());
  const state = async (one: LimitedWorker): Promise<LimitState | undefined> => (await one.limits())[0];

  /** Dies without a word. */
  async function kill(one: LimitedWorker): Promise<void> {
    await (one.transport as unknown as { abandon(): Promise<void> | void }).abandon();
  }

  describe("tasks that may run at once", () => {
    test("those beyond the limit hold nothing, and start in order as slots come free", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(6));
      const one = await worker(queue, slots(2), { prefetch: 3 });
      await started(one, "m0", "m1");
      await settled("all others wait", async () => (await state(one))?.waiting === 4);
      expect(await one.transport.size(queue)).toBe(0);
      expect(await one.transport.purge(queue)).toBe(0);
      await suite.send(queue, ["m6"]);
      await settled("there was room for one more", async () => (await state(one))?.waiting === 5);
      expect(await one.end("m1")).toBe("done");
      await started(one, "m0", "m1", "m2");
      expect(await one.end("m0")).toBe("done");
      await started(one, "m0", "m1", "m2", "m3");
      for (const [i, id] of ["m2", "m3", "m4"].entries()) {
        await one.end(id);
        await started(one, ...numbered(5 + i));
      }
      await Promise.all([one.end("m5"), one.end("m6")]);
      expect(one.mostRunning).toBe(2);
      await settled("nothing is left", async () => (await one.limits()).length === 0);
    });

    test("a message that came twice waits twice, and nothing of it is left behind", async () => {
      const queue = suite.name();
      await suite.send(queue, ["first", "twice", "twice", "last"]);
      const one = await worker(queue, slots(1));
      await started(one, "first");
      await settled("all others wait", async () => one.answers.length === 4);
      await one.end("first");
      // It counts once, as it has one id.
      await started(one, "first", "twice", "twice");
      expect(one.mostRunning).toBe(1);
      await one.end("twice");
      await one.end("twice");
      await started(one, "first", "twice", "twice", "last");
      await one.end("last");
      await settled("nothing is left", async () => (await one.limits()).length === 0);
    });

    test("are counted over all workers", async () => {
      const queue = suite.name();
      const task = `shared.${queue}`;
      const [one, two] = [
        await worker(queue, slots(1), { task, prefetch: 1 }),
        await worker(queue, slots(1), { task, prefetch: 1 }),
      ];
      await suite.send(queue, numbered(8));
      const order: string[] = [];
      for (let i = 0; i < 8; i++) {
        await settled("exactly one runs", () => one.ids.length + two.ids.length === 1);
        const runs = one.ids.length === 1 ? one : two;
        order.push(runs.ids[0]!);
        await runs.end(runs.ids[0]!);
      }
      expect(order.toSorted()).toEqual(numbered(8));
    });

    test("of each key by themselves, and of each task", async () => {
      const queue = suite.name();
      await suite.send(queue, ["a0", "b0", "a1", "b1", "a2"]);
      const one = await worker(queue, (id) => slots(1, id.slice(0, 1)));
      await started(one, "a0", "b0");
      await one.end("a0");
      await started(one, "a0", "b0", "a1");
      const other = suite.name();
      await suite.send(other, ["a0"]);
      await started(await worker(other, slots(1, "a")), "a0");
      await settled("two wait", async () => {
        const states = await one.limits();
        return states.reduce((sum, { waiting }) => sum + waiting, 0) === 2;
      });
      expect(one.started).toEqual(["a0", "b0", "a1"]);
    });

    test("an early ack keeps the slot, however long the run is, and release gives it back", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(2));
      const one = await worker(queue, slots(1), { prefetch: 1 });
      await started(one, "m0");
      const [run] = one.running;
      expect(await one.consumer.settle(run!.delivery, { kind: "ack-early" })).toBe("done");
      await settled("the second waits", async () => (await state(one))?.waiting === 1);
      await suite.until((await suite.broker.now()) + 3 * (suite.broker.leaseMs ?? 0));
      const fence = suite.name();
      await suite.send(fence, ["x"]);
      await started(await worker(fence, slots(1)), "x");
      expect(one.started).toEqual(["m0"]);
      one.consumer.release(run!.delivery, run!.claim);
      await started(one, "m0", "m1");
      expect(await one.transport.size(queue)).toBe(0);
    });

    test("every way to end a run frees its slot", async () => {
      const queue = suite.name();
      const ways: readonly Settlement[] = [
        { kind: "requeue" },
        { kind: "dead", reason: "no more" },
        { kind: "park", untilMs: (await suite.broker.now()) + 3_600_000 },
        { kind: "lost" },
      ];
      await suite.send(queue, numbered(5));
      const one = await worker(queue, slots(1));
      for (const [i, as] of ways.entries()) {
        await settled(`${i} runs`, () => one.started.length === i + 1);
        expect(await one.end(`m${i}`, as)).toBe("done");
      }
      await settled("the last one runs", () => one.started[4] === "m4");
    });

    test("a worker that stops in good order gives its slots back with its messages", async () => {
      const queue = suite.name();
      const task = `closing.${queue}`;
      await suite.send(queue, numbered(3));
      const one = await worker(queue, slots(1), { task, prefetch: 2 });
      await started(one, "m0");
      await settled("two wait", async () => (await state(one))?.waiting === 2);
      await one.consumer.close();
      const two = await worker(queue, slots(1), { task });
      // What was put back and what was called are both at the front.
      await settled("one runs", () => two.started.length === 1);
      for (let i = 1; i <= 3; i++) {
        await settled(`${i} ran`, () => two.started.length === i);
        await two.end(two.ids[0]!);
      }
      expect(two.mostRunning).toBe(1);
      expect(two.started.toSorted()).toEqual(numbered(3));
    });

    test("a holder that is killed frees its slot within its lease, acked early or not", async () => {
      for (const early of [false, true]) {
        const queue = suite.name();
        const task = `killed.${queue}`;
        await suite.send(queue, numbered(2));
        const one = await worker(queue, slots(1), { task, prefetch: 2 });
        await started(one, "m0");
        await settled("one waits", async () => (await state(one))?.waiting === 1);
        if (early) await one.consumer.settle(one.running[0]!.delivery, { kind: "ack-early" });
        const two = await worker(queue, slots(1), { task });
        await kill(one);
        await suite.until((await suite.broker.now()) + (suite.broker.leaseMs ?? 0));
        await settled("the next one runs", () => two.started.length === 1);
        expect(early ? ["m1"] : ["m0", "m1"]).toContain(two.started[0]);
        await two.end(two.ids[0]!);
        if (early) continue;
        await settled("and the lost one too", () => two.started.length === 2);
        expect(two.started.toSorted()).toEqual(["m0", "m1"]);
        await two.end(two.ids[0]!);
      }
    }, 60_000);

    test("an id that is delivered twice has one slot until both have ended", async () => {
      const queue = suite.name();
      await suite.send(queue, ["same"]);
      const one = await worker(queue, slots(1));
      await started(one, "same");
      await suite.send(queue, ["same", "other"]);
      await started(one, "same", "same");
      await settled("the other waits", async () => (await state(one))?.waiting === 1);
      expect((await state(one))?.holders).toEqual(["same"]);
      await one.end("same");
      await suite.send(queue, ["third"]);
      await settled("two wait", async () => (await state(one))?.waiting === 2);
      await one.end("same");
      await started(one, "same", "same", "other");
    });

    test("asked again, an admitted delivery is admitted; one that is not held is gone", async () => {
      const queue = suite.name();
      await suite.send(queue, ["m0"]);
      const one = await worker(queue, slots(1));
      await started(one, "m0");
      const { delivery, claim } = one.running[0]!;
      expect(await one.consumer.admit(delivery, claim)).toEqual({ kind: "run" });
      await one.end("m0");
      expect(await one.consumer.admit(delivery, claim)).toEqual({ kind: "gone" });
    });

    test("a slot that is kept for a task which does not come is another's a lease later, or at once when it is given up", async () => {
      const queue = suite.name();
      const task = `called.${queue}`;
      await suite.send(queue, numbered(3));
      const one = await worker(queue, slots(1), { task });
      await started(one, "m0");
      await settled("two wait", async () => (await state(one))?.waiting === 2);
      const { claim, delivery } = one.running[0]!;
      // Nobody takes what is called now.
      await one.consumer.pause();
      await one.end("m0");
      await settled("m1 was called", async () => (await one.transport.size(queue)) === 1);
      expect(await state(one)).toMatchObject({ holders: ["m1"], waiting: 1 });
      await suite.until((await suite.broker.now()) + (suite.broker.leaseMs ?? 30_000));
      await settled("m2 was called", async () => (await one.transport.size(queue)) === 2);
      expect(await state(one)).toMatchObject({ holders: ["m2"], waiting: 0 });
      one.consumer.release(delivery, { ...claim, id: "m2" });
      await settled("nobody has the slot", async () => (await one.limits()).length === 0);
      one.consumer.resume();
      await settled("one of them runs", () => one.started.length === 2);
    });
  });

  describe("tasks that may start in a time", () => {
    test("each beyond the burst has a moment of its own, in order", async () => {
      const queue = suite.name();
      await suite.send(queue, numbered(6));
      const one = await worker(queue, rate(4, 2));
      await settled("all were asked for", () => one.answers.length === 6);
      expect(one.started).toEqual(["m0", "m1"]);
      const beganMs = one.answers[0]!.delivery.serverTimeMs;
      const askedMs = await suite.broker.now();
      const waits = one.answers.slice(2);
      const moments = waits.map(({ admission }) =>
        admission.kind === "wait" && admission.for === "rate" ? admission.untilMs - beganMs : Number.NaN,
      );
      for (const [i, ms] of moments.entries()) {
        expect(ms).toBeGreaterThanOrEqual(250 * (i + 1) - 1);
        expect(ms - (moments[i - 1] ?? 0)).toBeGreaterThanOrEqual(249);
        expect(beganMs + ms).toBeLessThan(askedMs + 250 * (i + 1) + 1);
      }
      expect(await one.transport.size(queue)).toBe(0);
      const told = await state(one);
      expect(told).toMatchObject({ kind: "rate", limit: 2, perSecond: 4, waiting: 4 });
      expect(told?.waiters.map((waiter) => waiter.id)).toEqual(["m2", "m3", "m4", "m5"]);
      expect(told?.freeAtMs).toBeGreaterThan((told?.waiters[3]?.untilMs ?? 0) + 200);
      for (let i = 2; i < 6; i++) {
        await suite.until(beganMs + moments[i - 2]!);
        await settled(`m${i} started`, () => one.started.length > i);
        const again = one.answers.filter(({ id }) => id === `m${i}`).at(-1);
        expect(again?.delivery.serverTimeMs).toBeGreaterThanOrEqual(beganMs + moments[i - 2]! - 1);
      }
      expect(one.started).toEqual(numbered(6));
      await settled("nothing is left", async () => (await one.limits()).length === 0);
    });

    test("are counted over all workers, and by key", async () => {
      const queue = suite.name();
      const task = `rated.${queue}`;
      const limits = (id: string): Limits => rate(0.01, 1, id.slice(0, 1));
      const [one, two] = [await worker(queue, limits, { task }), await worker(queue, limits, { task })];
      await suite.send(queue, ["a0", "b0", "a1", "b1"]);
      await settled("all were asked for", () => one.answers.length + two.answers.length === 4);
      expect([...one.started, ...two.started].map((id) => id.slice(0, 1)).toSorted()).toEqual(["a", "b"]);
      const states = await one.limits();
      expect(states.map(({ key, waiting }) => [key, waiting])).toEqual([
        ["a", 1],
        ["b", 1],
      ]);
    });
  });

  test("both limits: a slot first, then the moment, and who waits for its moment has no slot", async () => {
    const queue = suite.name();
    await suite.send(queue, numbered(3));
    const both: Limits = {
      concurrency: { key: "", limit: 1 },
      rate: { key: "", perSecond: 2, burst: 1 },
    };
    const one = await worker(queue, both);
    await started(one, "m0");
    const beganMs = one.answers[0]!.delivery.serverTimeMs;
    await settled("the others wait for the slot", async () => {
      const line = (await one.limits()).find(({ kind }) => kind === "concurrency");
      return line?.waiting === 2;
    });
    await one.end("m0");
    await settled("one waits for its moment, and the next has come for the slot", () => {
      const waits = one.answers.filter(
        ({ admission }) => admission.kind === "wait" && admission.for === "rate",
      );
      return waits.length === 2;
    });
    await suite.until(beganMs + 500);
    await started(one, "m0", "m1");
    await one.end("m1");
    await suite.until(beganMs + 1000);
    await started(one, "m0", "m1", "m2");
    expect(one.mostRunning).toBe(1);
  });

  test("names and keys are told apart, and long keys are cut", async () => {
    const queue = suite.name();
    await suite.send(queue, ["a", "b"]);
    const claims: Record<string, string> = { a: "x#y", b: "y" };
    const one = new LimitedWorker(await suite.open("worker"), queue, {
      limits: (id) => slots(1, claims[id]),
      task: "t",
      prefetch: 10,
    });
    await started(one, "a", "b");
    const other = suite.name();
    await suite.send(other, ["c"]);
    const two = await worker(other, slots(1, "y"), { task: "t#x" });
    await started(two, "c");
    expect((await two.limits()).map(({ task, key }) => [task, key])).toContainEqual(["t#x", "y"]);
  });

  test("a model: after random arrivals, ends and deaths the first in line run, and no id is lost", async () => {
    const step = fc.record({
      kind: fc.constantFrom("send", "send", "end", "requeue", "kill"),
      pick: fc.nat(),
    });
    const property = fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 30 }), (steps) =>
      model(steps),
    );
    const checked = fc.assert(property, { seed, numRuns: 4, endOnFailure: true });
    await expect(checked).resolves.toBeUndefined();
  }, 120_000);

  async function model(steps: readonly { readonly kind: string; readonly pick: number }[]): Promise<void> {
    const queue = suite.name();
    const limits = slots(3);
    const task = `model.${queue}`;
    let one = await worker(queue, limits, { task, prefetch: 4 });
    /** The reference: who runs, who waits, in order. */
    const running: string[] = [];
    const waiting: string[] = [];
    let kills = 0;
    for (const [n, { kind, pick }] of steps.entries()) {
      const id = running[pick % Math.max(1, running.length)];
      if (kind === "send" || id === undefined) {
        await suite.send(queue, [`m${n}`]);
        waiting.push(`m${n}`);
      } else if (kind === "kill") {
        // Twice would be a second loss for some.
        if (kills++ > 0) continue;
        const next = await worker(queue, limits, { task, prefetch: 4 });
        await kill(one);
        one = next;
        await suite.until((await suite.broker.now()) + (suite.broker.leaseMs ?? 0));
        const total = running.length + waiting.length;
        await settled("as many run as before", () => one.ids.length === running.length);
        const states = await settledState(one, total - running.length);
        // The lost ones and those in the line come together: from here on the order is the broker's.
        await settled("none is lost", () => {
          const [now, before] = [
            [...one.ids, ...states],
            [...running, ...waiting],
          ];
          return now.toSorted().join() === before.toSorted().join();
        });
        running.splice(0, running.length, ...one.ids);
        waiting.splice(0, waiting.length, ...states);
      } else {
        running.splice(running.indexOf(id), 1);
        if (kind === "requeue") waiting.push(id);
        await one.end(id, kind === "requeue" ? { kind } : { kind: "ack" });
      }
      while (running.length < 3 && waiting.length > 0) running.push(waiting.shift()!);
      await settled(
        `${n}: ${running.join()} run, not ${one.ids.join()}`,
        () => one.ids.toSorted().join() === running.toSorted().join(),
      );
      expect(await settledState(one, waiting.length)).toEqual(waiting);
    }
    expect(one.mostRunning).toBeLessThanOrEqual(3);
    await one.consumer.close();
    const last = await worker(queue, limits, { task, prefetch: 4 });
    const left = new Set([...running, ...waiting]);
    while (left.size > 0) {
      await settled("one runs", () => last.ids.length > 0);
      const [id = ""] = last.ids;
      expect(left.delete(id)).toBe(true);
      await last.end(id);
    }
    expect(last.mostRunning).toBeLessThanOrEqual(3);
    await settled("nothing is left", async () => (await last.limits()).length === 0);
    expect(await last.transport.size(queue)).toBe(0);
  }

  /** Ids that wait, in order, once there are that many. */
  async function settledState(one: LimitedWorker, count: number): Promise<readonly string[]> {
    await settled(`${count} wait`, async () => ((await state(one))?.waiting ?? 0) === count);
    return (await state(one))?.waiters.map((waiter) => waiter.id) ?? [];
  }
}
