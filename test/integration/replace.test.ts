/** `task.replace` and `task.addToChord` on real workers, and in eager mode. */
import { Celery, chain, chord, group, type Signature } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";

const SECONDS = { timeout: 20 };
let redis: RedisServer;
let count = 0;

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());

const places = {
  "memory://": () => ({ brokerUrl: `memory://replace-${count}`, resultBackend: `memory://replace-${count}` }),
  Redis: () => ({ brokerUrl: `${redis.url}/0`, resultBackend: `${redis.url}/1` }),
};

function tasks(app: Celery) {
  const add = app.task("r.add", (x: number, y: number) => x + y);
  const total = app.task("r.total", (numbers: number[]) => numbers.reduce((sum, one) => sum + one, 0));
  const fail = app.task("r.fail", (): number => {
    throw new RangeError("no");
  });
  const by = (name: string, make: (n: number) => Signature<[], unknown>) =>
    app.task(name, { bind: true }, (task, n: number) => task.replace(make(n)) as number);
  return {
    add,
    total,
    one: by("r.one", (n) => add.s(n, 1)),
    steps: by("r.steps", (n) => chain(add.s(n, 1), add.s(10))),
    many: by("r.many", (n) => group([add.s(n, 1), add.s(n, 2)])),
    body: by("r.body", (n) => chord([add.s(n, 1), add.s(n, 2)], total.s())),
    bad: by("r.bad", () => fail.s()),
    empty: by("r.empty", () => chain() as never),
    twice: by("r.twice", (n) => app.remote<(m: number) => number>("r.steps").s(n)),
  };
}

describe.each(Object.entries(places))("over %s", (_name, place) => {
  let app: Celery;
  let worker: Worker;
  let made: ReturnType<typeof tasks>;

  beforeEach(async () => {
    count += 1;
    app = new Celery("replace", { ...place(), logger: silentLogger });
    made = tasks(app);
    worker = new Worker(app, { concurrency: 8 });
    await worker.start();
  });
  afterEach(async () => {
    await worker.stop({ how: "cold" });
    await app.close();
  });

  test("a task, a chain, a group, a chord, a replacement: its result comes under the first id", async () => {
    const { one, steps, many, body, twice } = made;
    expect(await (await one.delay(5)).get(SECONDS)).toBe(6);
    expect(await (await steps.delay(5)).get(SECONDS)).toBe(16);
    expect(await (await many.delay(5)).get(SECONDS)).toEqual([6, 7]);
    expect(await (await body.delay(5)).get(SECONDS)).toBe(13);
    expect(await (await twice.delay(5)).get(SECONDS)).toBe(16);
  });

  test("what was to follow it follows the other: chain, callbacks, chord", async () => {
    const { add, steps, many, total, body } = made;
    expect(await (await chain(add.s(1, 1), steps.s(), add.s(100)).delay()).get(SECONDS)).toBe(113);
    expect(await (await chain(add.s(1, 1), body.s(), add.s(100)).delay()).get(SECONDS)).toBe(107);
    expect(await (await chord([steps.s(1), add.s(1, 1)], total.s()).delay()).get(SECONDS)).toBe(14);
    const lists = app.task("r.lists", (all: unknown[]) => all);
    expect(await (await chord([many.s(1), add.s(1, 1)], lists.s()).delay()).get(SECONDS)).toEqual([
      [2, 3],
      2,
    ]);
    const seen: unknown[] = [];
    const note = app.task("r.note", (n: number) => seen.push(n));
    const linked = await steps.applyAsync([1], { link: note.s() });
    await linked.get(SECONDS);
    for await (const [result] of linked.collect(SECONDS)) void result;
    expect(seen).toEqual([12]);
  });

  test("stamps stay", async () => {
    const { add } = made;
    const stamps = app.task("r.stamps", { bind: true }, (task) => ({ ...task.request.stamps }) as never);
    const other = app.task("r.other", { bind: true }, (task) => task.replace<never>(stamps.s()));
    expect(await (await other.s().stamp({ tenant: "acme" }).delay()).get(SECONDS)).toEqual({
      tenant: "acme",
    });
    void add;
  });

  test("a replacement that fails is the task's failure, and so is one that cannot be", async () => {
    const { bad, empty, add } = made;
    const told: string[] = [];
    const old = app.task("r.old", (id: string) => told.push(id));
    const failed = await chain(bad.s(1).linkError(old.s() as never), add.s(1)).delay();
    expect(await failed.outcome(SECONDS)).toMatchObject({ error: { type: "ValueError" } });
    expect(await (await empty.delay(1)).outcome(SECONDS)).toMatchObject({
      error: { type: "ImproperlyConfigured", args: ["Cannot replace with an empty chain"] },
    });
  });

  test("a task adds to the chord it is in", async () => {
    const { add, total } = made;
    const adding = app.task("r.adding", { bind: true }, async (task, n: number) => {
      await task.addToChord(add.s(n, 100));
      return n;
    });
    const alone = app.task("r.alone", { bind: true }, (task) => task.addToChord(add.s(1, 1)));
    expect(await (await chord([adding.s(1), adding.s(2)], total.s()).delay()).get(SECONDS)).toBe(206);
    expect(await (await alone.delay()).outcome(SECONDS)).toMatchObject({ error: { type: "TypeError" } });
  });
});

test("in eager mode the other runs here", async () => {
  const app = new Celery("eager", { taskAlwaysEager: true });
  const { one, many, body, bad } = tasks(app);
  expect(await (await one.delay(5)).get()).toBe(6);
  expect(await (await many.delay(5)).get()).toEqual([6, 7]);
  expect(await (await body.delay(5)).get()).toBe(13);
  expect(await (await bad.delay(5)).outcome()).toMatchObject({ error: { type: "ValueError" } });
  await expect(one.run(1)).rejects.toMatchObject({ code: "PET_REPLACED" });
});
