/** A revoke by stamp reaches the whole of a canvas: what runs, what waits, and what is not sent yet. */
import {
  type AnySignature,
  type AsyncResult,
  Celery,
  chain,
  chord,
  type GroupResult,
  group,
  type StampingVisitor,
} from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type * as Internals from "../../src/app/internals.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { uuid4 } from "../../src/base/uuid.ts";
import type { SignatureData } from "../../src/protocol/wire.ts";
import { built } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, redisCommand, startRedis } from "../support/redis.ts";
import { drawnOne } from "../unit/canvas/support.ts";

const SECONDS = { timeout: 20 };
let redis: RedisServer;
let count = 0;
let internals: (typeof Internals)["internalsOf"];
beforeAll(async () => {
  ({ internalsOf: internals } = (await import(built("app/internals.js"))) as typeof Internals);
  redis = await startRedis();
});
afterAll(() => redis.stop());

const places = {
  "memory://": () => ({ brokerUrl: `memory://stamps-${count}`, resultBackend: `memory://stamps-${count}` }),
  Redis: () => ({ brokerUrl: `${redis.url}/0`, resultBackend: `${redis.url}/1` }),
};

describe.each(Object.entries(places))("over %s", (_name, place) => {
  let app: Celery;
  let worker: Worker;
  let ran: string[];
  let told: string[];
  let open: () => void;
  let gate: Promise<void>;

  beforeEach(async () => {
    count += 1;
    await redisCommand(`${redis.url}/0`, "FLUSHALL");
    ran = [];
    told = [];
    gate = new Promise((resolve) => {
      open = resolve;
    });
    app = new Celery("stamps", { ...place(), logger: silentLogger });
    worker = new Worker(app, { concurrency: 4 });
  });
  afterEach(async () => {
    open();
    await worker.stop({ how: "cold" });
    await app.close();
  });

  function tasks() {
    const named = (name: string) =>
      app.task(name, (..._given: unknown[]) => {
        ran.push(name);
        return name;
      });
    const hold = app.task("hold", { bind: true }, async (task) => {
      ran.push("hold");
      await Promise.race([gate, new Promise((resolve) => task.signal.addEventListener("abort", resolve))]);
      task.signal.throwIfAborted();
      return "held";
    });
    return {
      ...Object.fromEntries("abcdefgh".split("").map((name) => [name, named(name)])),
      a: named("step"),
      hold,
      old: app.task("old", (id: string) => {
        told.push(`old ${id}`);
      }),
      fresh: app.errback("fresh", (request, error) => {
        told.push(`fresh ${request.id} ${error.name}`);
      }),
    };
  }

  /** The worker knows it. */
  async function revoke(tenant: string, terminate = false): Promise<void> {
    const replies = await app.control.revokeByStampedHeaders(
      { tenant: [tenant] },
      { terminate, reply: true, limit: 1 },
    );
    expect(replies).not.toEqual({});
  }

  const stateOf = async (one: AsyncResult<unknown>): Promise<string> => (await one.outcome(SECONDS)).state;

  /** From the last to the first. */
  async function states(result: AsyncResult<unknown>): Promise<string[]> {
    const all: string[] = [];
    for (let one: AsyncResult<unknown> | null = result; one !== null; one = one.parent) {
      const members = (one as Partial<GroupResult<unknown[]>>).results;
      if (members === undefined) all.push(await stateOf(one));
      else all.push((await Promise.all(members.map(stateOf))).join(" "));
    }
    return all;
  }

  test("a chain of which the first step runs: it ends well, the others are revoked", async () => {
    const { a, hold } = tasks();
    await worker.start();
    const result = await chain(hold.si(), a.s(), a.s()).stamp({ tenant: "one" }).delay();
    await eventually("it runs", () => ran.includes("hold"));
    await revoke("one");
    open();
    expect(await states(result)).toEqual(["REVOKED", "REVOKED", "SUCCESS"]);
    expect(ran).toEqual(["hold"]);
  });

  test("with terminate the running step is revoked too", async () => {
    const { a, hold } = tasks();
    await worker.start();
    const last = a.s();
    const result = await chain(hold.si(), a.s(), last).stamp({ tenant: "two" }).delay();
    await eventually("it runs", () => ran.includes("hold"));
    await revoke("two", true);
    expect(await states(result)).toEqual(["REVOKED", "REVOKED", "REVOKED"]);
    expect(ran).toEqual(["hold"]);
  });

  test("steps without the stamp stay pending, as in Celery", async () => {
    const { a } = tasks();
    await worker.start();
    await revoke("three");
    const result = await chain(a.si().stamp({ tenant: "three" }), a.s()).delay();
    expect(await stateOf(result.parent as AsyncResult<unknown>)).toBe("REVOKED");
    expect(await result.state()).toBe("PENDING");
  });

  test("a group, and one that waits for its time", async () => {
    const { a } = tasks();
    await worker.start();
    const held = a.si().set({ countdown: 1 });
    const result = await group([held, chain(held, a.s())])
      .stamp({ tenant: "four" })
      .delay();
    await revoke("four");
    expect(await states(result)).toEqual(["REVOKED REVOKED"]);
    expect(ran).toEqual([]);
  });

  test("a chord: header, body and what follows; its errbacks hear of it once", async () => {
    const { a, old, fresh } = tasks();
    await worker.start();
    await revoke("five");
    // Linked to what is stamped already: what was linked before is stamped, and revoked with it.
    const body = a.s().stamp({ tenant: "five" }).linkError(old.s()).linkError(fresh.s());
    const header = [a.si(), a.si(), chain(a.si(), a.s())].map((one) => one.stamp({ tenant: "five" }));
    const after = a.s().stamp({ tenant: "five" });
    const result = await (chord(header, body as never) as AnySignature).pipe(after).delay();
    expect(await states(result)).toEqual(["REVOKED", "REVOKED", "REVOKED REVOKED REVOKED"]);
    const id = result.parent?.id;
    await eventually("both are told", () => told.length >= 2);
    expect(told.toSorted()).toEqual([`fresh ${id} TaskRevokedError`, `old ${id}`]);
    expect(ran).toEqual([]);
  });

  test("a chord whose body has no such stamp fails, as in Celery", async () => {
    const { a } = tasks();
    await worker.start();
    await revoke("six");
    const result = await chord([a.si().stamp({ tenant: "six" }), a.si()], a.s() as never).delay();
    expect(await result.outcome(SECONDS)).toMatchObject({ state: "FAILURE", error: { type: "ChordError" } });
  });

  test("of forty canvases of every shape not one task runs, and every one ends as revoked", async () => {
    tasks();
    await worker.start();
    await revoke("seven");
    const { sender } = internals(app);
    for (let index = 0; index < 40; index += 1) {
      const canvas: AnySignature = app.signatureFrom(drawnOne(4)).stamp({ tenant: ["seven"] });
      const plan = await sender.plan(canvas.toJSON(), { args: [], kwargs: {}, options: {} }, uuid4);
      const ids = idsIn(plan.sends);
      await sender.publish(plan, null);
      for (const id of ids)
        expect([JSON.stringify(canvas), id, await stateOf(app.asyncResult(id))]).toEqual([
          JSON.stringify(canvas),
          id,
          "REVOKED",
        ]);
    }
    expect(ran).toEqual([]);
  });

  test("what a visitor stamps is found too", async () => {
    const { a } = tasks();
    await worker.start();
    await revoke("eight");
    const visitor: StampingVisitor = { onSignature: () => ({ tenant: "eight" }) };
    const result = await chain(a.si(), group([a.s(), a.s()]), a.s())
      .stamp(visitor)
      .delay();
    expect(await states(result)).toEqual(["REVOKED", "REVOKED REVOKED", "REVOKED"]);
  });
});

/** Of every task of a plan, those that are not sent yet too. */
function idsIn(sends: readonly SignatureData[]): ReadonlySet<string> {
  const ids = new Set<string>();
  const look = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { task, options } = value as Partial<SignatureData>;
    const id = options?.["task_id"];
    if (typeof id === "string" && !/^celery\.(chain|group|chord)$/u.test(task ?? "")) ids.add(id);
    for (const part of Object.values(value)) look(part);
  };
  look(sends);
  return ids;
}
