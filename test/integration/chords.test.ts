/** Chords end to end on real workers: bodies run once, complete and in order, whatever is delivered twice, fails or dies. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { type AsyncResult, Celery, chain, chord, type GroupResult, group } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type * as Internals from "../../src/app/internals.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { uuid4 } from "../../src/base/uuid.ts";
import { built } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const SECONDS = { timeout: 20 };
let redis: RedisServer;
let admin: Redis;
let count = 0;
let folder = "";
let internals: (typeof Internals)["internalsOf"];

beforeAll(async () => {
  ({ internalsOf: internals } = (await import(built("app/internals.js"))) as typeof Internals);
  redis = await startRedis();
  folder = await mkdtemp(join(tmpdir(), "petiole-chords-"));
  admin = new Redis(redis.port, { db: 1 });
});
afterAll(async () => {
  admin.disconnect();
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
});

const places = {
  "memory://": () => ({ brokerUrl: `memory://chords-${count}`, resultBackend: `memory://chords-${count}` }),
  SQLite: () => ({
    brokerUrl: `sqlite://${folder}/chords-${count}.db`,
    resultBackend: `sqlite://${folder}/chords-${count}.db`,
  }),
  Redis: () => ({ brokerUrl: `${redis.url}/0`, resultBackend: `${redis.url}/1` }),
  "Redis, unordered": () => ({
    brokerUrl: `${redis.url}/0`,
    resultBackend: `${redis.url}/1`,
    resultBackendTransportOptions: { result_chord_ordered: false },
  }),
};

describe.each(Object.entries(places))("over %s", (name, place) => {
  let app: Celery;
  let workers: Worker[];
  let bodies: { readonly id: string; readonly values: readonly number[] }[];
  let told: unknown[];
  let runs: number;

  beforeEach(async () => {
    count += 1;
    await admin.flushall();
    workers = [];
    bodies = [];
    told = [];
    runs = 0;
    app = new Celery("chords", { ...place(), logger: silentLogger });
  });
  afterEach(async () => {
    await Promise.all(workers.map((worker) => worker.stop({ how: "cold" })));
    await app.close();
  });

  async function work(): Promise<Worker> {
    const worker = new Worker(app, { concurrency: 8 });
    workers.push(worker);
    await worker.start();
    return worker;
  }

  function tasks() {
    return {
      /** Another result at each run. */
      part: app.task("c.part", { acksLate: true }, (index: number) => {
        runs += 1;
        return index * 10_000 + runs;
      }),
      same: app.task("c.same", { acksLate: true }, (index: number) => {
        runs += 1;
        return index * 10_000;
      }),
      body: app.task("c.body", { bind: true }, (task, values: readonly number[]) => {
        bodies.push({ id: task.request.id, values });
        return values.length;
      }),
      fail: app.task("c.fail", (why: string): number => {
        throw new RangeError(why);
      }),
      old: app.task("c.old", (id: string) => {
        told.push(["old", id]);
      }),
      fresh: app.errback("c.fresh", (request, error) => {
        told.push(["fresh", request.id, error.message]);
      }),
    };
  }

  test.each(["part", "same"] as const)("200 chords, every header task delivered twice: %s", async (which) => {
    const made = tasks();
    await work();
    const { sender } = internals(app);
    const sent: string[] = [];
    for (let index = 0; index < 200; index += 1) {
      const header = [0, 1, 2, 3].map((at) => made[which].s(at));
      const plan = await sender.plan(chord(header, made.body.s()).toJSON(), NOTHING, uuid4);
      await sender.publish(plan, null);
      await sender.publish({ sends: plan.sends, chords: [] }, null);
      sent.push(plan.result.id);
    }
    await eventually("all parts have run twice", () => runs === 1600, { timeoutMs: 40_000 });
    await eventually("all bodies have run", () => bodies.length >= 200, { timeoutMs: 20_000 });
    await Promise.all(sent.map((id) => app.asyncResult(id).get(SECONDS)));
    expect(bodies.map(({ id }) => id).toSorted()).toEqual(sent.toSorted());
    for (const { values } of bodies) {
      const found = values.map((value) => Math.floor(value / 10_000));
      expect(name.endsWith("unordered") ? found.toSorted((a, b) => a - b) : found).toEqual([0, 1, 2, 3]);
    }
  });

  test("a group is joined in its order, natively as its results arrive, and as a set with others", async () => {
    const { part, fail } = tasks();
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const slow = app.task("c.slow", async (n: number) => {
      await gate;
      return n;
    });
    const fast = app.task("c.fast", (n: number) => n);
    await work();
    const result = await group([slow.s(1), fast.s(2), fail.s("no")]).delay();
    const joined = result.join(SECONDS).catch((error: unknown) => error);
    await expect(result.joinNative(SECONDS)).rejects.toThrow("no");
    await expect(result.join({ timeout: 0.1 })).rejects.toMatchObject({ code: "PET_TIMEOUT" });
    const seen: unknown[] = [];
    await result.joinNative({
      ...SECONDS,
      propagate: false,
      callback: (_, value) => {
        seen.push(value);
        if (seen.length === 2) open();
      },
    });
    expect(await joined).toMatchObject({ type: "ValueError" });
    expect(seen.at(-1)).toBe(1);
    expect(await result.join({ ...SECONDS, propagate: false })).toEqual([1, 2, expect.any(Error)]);

    const set = app.resultSet<number | number[]>([await fast.delay(3), result.results[0]]);
    expect(await set.join(SECONDS)).toEqual([3, 1]);
    set.add(await group([fast.s(4), fast.s(5)]).delay());
    set.update([await part.delay(6)]);
    set.remove(set.results.at(-1)?.id ?? "");
    expect(await set.get(SECONDS)).toEqual([3, 1, [4, 5]]);
    const arrived: unknown[] = [];
    for await (const { index, value } of set) arrived.push([index, value]);
    expect(arrived).toHaveLength(3);
    expect(arrived).toContainEqual([2, [4, 5]]);
  });

  test("parts that add to their chord, delivered twice, add once; what is added may be a group", async () => {
    const { same, body } = tasks();
    const adding = app.task("c.adding", { bind: true, acksLate: true }, async (task, n: number) => {
      runs += 1;
      await task.addToChord(same.s(n + 2));
      await task.addToChord(group([same.s(n + 4), same.s(n + 6)]));
      return n;
    });
    await work();
    const { sender } = internals(app);
    const sent: string[] = [];
    for (let index = 0; index < 20; index += 1) {
      const plan = await sender.plan(chord([adding.s(0), adding.s(1)], body.s()).toJSON(), NOTHING, uuid4);
      await sender.publish(plan, null);
      await sender.publish({ sends: plan.sends, chords: [] }, null);
      sent.push(plan.result.id);
    }
    // Each of 2 parts twice, and each time it sends 3 tasks.
    await eventually("all have run twice", () => runs === 20 * 2 * 2 * (1 + 3), { timeoutMs: 40_000 });
    await Promise.all(sent.map((id) => app.asyncResult(id).get(SECONDS)));
    expect(bodies.map(({ id }) => id).toSorted()).toEqual(sent.toSorted());
    for (const { values } of bodies)
      expect((values as readonly unknown[]).map((one) => JSON.stringify(one)).toSorted()).toEqual(
        ["0", "1", "20000", "30000", "[40000,60000]", "[50000,70000]"].toSorted(),
      );
  });

  test("a failed part fails the body, and its errbacks hear of it once", async () => {
    const { part, fail, body, old, fresh } = tasks();
    await work();
    const last = body.s().linkError(old.s()).linkError(fresh.s());
    const result = await chord([part.s(1), fail.s("no"), fail.s("nor")], last).delay();
    const outcome = await result.outcome(SECONDS);
    expect(outcome).toMatchObject({ state: "FAILURE", error: { type: "ChordError" } });
    const [failed] = (result.parent as GroupResult<number[]>).results.slice(1);
    const reason = `Dependency ${failed?.id} raised ValueError('no')`;
    expect((outcome as { error: Error }).error.message).toContain(
      name.endsWith("unordered") ? "Dependency " : reason,
    );
    await eventually("both are told", () => told.length >= 2);
    expect(told.map((one) => (one as unknown[]).slice(0, 2).join(" ")).toSorted()).toEqual([
      `fresh ${result.id}`,
      `old ${result.id}`,
    ]);
    expect(bodies).toEqual([]);
  });

  test("a revoked part, and one of a task that nobody knows, fail the body too", async () => {
    const { part, body } = tasks();
    await work();
    const expired = part.s(1).set({ expires: -1 });
    const unknown = app.remote<(n: number) => number>("c.unknown").s(1);
    for (const bad of [
      expired,
      unknown,
      chain(part.s(1), app.remote<(n: number) => number>("c.unknown").s()),
      chain(expired, part.s()),
    ]) {
      const result = await chord([part.s(0), bad], body.s()).delay();
      expect(await result.outcome(SECONDS)).toMatchObject({ error: { type: "ChordError" } });
    }
  });

  test("a failure goes out through chords of chords, and to what comes after", async () => {
    const { part, fail, body } = tasks();
    await work();
    const inner = chord([part.s(1), fail.s("no")], body.s());
    const result = await chain(chord([inner, part.s(2)], body.s()), part.s(), part.s()).delay();
    expect(await result.outcome(SECONDS)).toMatchObject({ error: { type: "ChordError" } });
    for (let one: AsyncResult<unknown> | null = result; one !== null && !("results" in one); one = one.parent)
      expect(await one.state()).toBe("FAILURE");
  });

  test("a group as body: every member fails", async () => {
    const { part, fail, body } = tasks();
    await work();
    const result: unknown = await chord([part.s(1), fail.s("no")], group([body.s(), body.s()])).delay();
    const { results } = result as GroupResult<number[]>;
    for (const member of results)
      expect(await member.outcome(SECONDS)).toMatchObject({ error: { type: "ChordError" } });
  });

  test("a part without a result of its own counts all the same", async () => {
    const { body } = tasks();
    const quiet = app.task("c.quiet", { ignoreResult: true }, (n: number) => n);
    await work();
    const result = await chord([quiet.s(1), quiet.s(2)], body.s()).delay();
    expect(await result.get(SECONDS)).toBe(2);
    expect(bodies[0]?.values.toSorted()).toEqual([1, 2]);
  });

  // In memory, the suite of backends shows it: a process that dies takes its memory with it.
  test.runIf(name.startsWith("Redis"))("what a worker left behind another one ends", async () => {
    const { part, body } = tasks();
    const core = internals(app);
    const plan = await core.sender.plan(chord([part.s(0), part.s(1)], body.s()).toJSON(), NOTHING, uuid4);
    const [chordOf] = plan.chords;
    if (chordOf === undefined) throw new Error("no chord");
    const backend = await core.openBackend();
    await backend.start(new AbortController().signal);
    const end = plan.sends[0]?.options["chord"];
    const note = JSON.stringify({ body: end, parent: { id: "gone", rootId: "gone", priority: 0 } });
    await backend.store(backend.encodeChordSize({ group: chordOf.group, size: 2, members: [] }), null);
    for (const index of [0, 1]) {
      const one = backend.chords?.encodePart(
        chordOf.group,
        { taskId: `t${index}`, status: "SUCCESS", result: index },
        index,
      );
      if (one !== undefined) await backend.chords?.count(one, { result: null, note });
    }
    await admin.zadd("celery-taskset-meta-petiole.due", 0, chordOf.group);
    await work();
    expect(await app.asyncResult(plan.result.id).get(SECONDS)).toBe(2);
    expect(bodies).toHaveLength(1);
    await eventually("it is over", async () => (await admin.zcard("celery-taskset-meta-petiole.due")) === 0);
    await backend.stop();
  });
});

const NOTHING = { args: [], kwargs: {}, options: {} };
