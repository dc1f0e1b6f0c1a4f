/** Storing, reading, the guard of SUCCESS, time to live, text that is no result. */
import { describe, expect, test } from "vitest";
import { DEFAULT_LIMITS } from "../../../src/protocol/wire.ts";
import { eventually } from "../../support/eventually.ts";
import { type BackendSuite, failureOf, meta, PREFIX, thrownBy } from "./harness.ts";

const NO_KEYS = "its results are rows";
const NO_TTL = "its rows have no time to live: a cleanup deletes them";

export function storingTests(suite: BackendSuite): void {
  describe("store and get", () => {
    test("nothing stored reads as null", async () => {
      const backend = await suite.open();
      expect(await backend.get([suite.id(), suite.id()])).toEqual([null, null]);
      expect(await backend.get([])).toEqual([]);
    });

    test("ids are told apart as a whole, also behind a NUL", async () => {
      const backend = await suite.open();
      const prefix = suite.id();
      const metas = [`${prefix}\0a`, `${prefix}\0b`, prefix].map((id, result) => meta(id, { result }));
      for (const one of metas) await suite.put(backend, one);
      const stored = await backend.get(metas.map(({ taskId }) => taskId));
      expect(stored.map((one) => [one?.taskId, one?.result])).toEqual(
        metas.map(({ taskId, result }) => [taskId, result]),
      );
    });

    test("every state comes back as it was stored", async () => {
      const backend = await suite.open();
      const error = { exc_type: "ValueError", exc_message: ["bad", 7], exc_module: "builtins" };
      const metas = [
        meta(suite.id()),
        meta(suite.id(), { result: null }),
        meta(suite.id(), { result: "" }),
        meta(suite.id(), { result: 0 }),
        meta(suite.id(), { result: false }),
        meta(suite.id(), { result: { deep: [1, [2, { three: "ü🍃\u2028\u0000" }]], __proto: 1 } }),
        meta(suite.id(), { result: 12345678901234567890n }),
        meta(suite.id(), { children: null }),
        meta(suite.id(), {
          children: [
            [["child", null], null],
            [["gid", null], [[["member", null], null]]],
          ],
        }),
        meta(suite.id(), { status: "STARTED", result: { pid: 12, hostname: "w@h" }, dateDone: null }),
        meta(suite.id(), { status: "RETRY", result: error, traceback: "Traceback …", dateDone: null }),
        meta(suite.id(), {
          status: "FAILURE",
          result: error,
          traceback: "Traceback (most recent call last):\n  …",
        }),
        meta(suite.id(), { status: "FAILURE", result: { ...error, exc_message: "a text" } }),
        meta(suite.id(), { status: "REVOKED", result: { ...error, exc_type: "TaskRevokedError" } }),
        meta(suite.id(), { status: "PROGRESS", result: { current: 3, total: 10 }, dateDone: null }),
        meta(suite.id(), { status: "My own state!", result: null, dateDone: null }),
        meta(suite.id(), {
          extra: {
            group_id: "g1",
            parent_id: "p1",
            name: "shop.add",
            args: [1, "x"],
            kwargs: { a: { b: null } },
            worker: "w@h",
            retries: 2,
            queue: "celery",
            stamped_headers: ["tenant"],
            tenant: ["acme"],
          },
        }),
      ];
      await Promise.all(metas.map((one) => suite.put(backend, one)));
      const read = await backend.get(metas.map((one) => one.taskId));
      expect(read).toEqual(suite.store.keeps === undefined ? metas : metas.map(suite.store.keeps));
    });

    test("what is stored is Celery's JSON, under Celery's key", async ({ skip }) => {
      if (suite.store.rows) skip(NO_KEYS);
      const backend = await suite.open();
      const one = meta(suite.id(), { extra: { group_id: "g1" } });
      await suite.put(backend, one);
      expect(JSON.parse((await suite.store.raw.get(PREFIX + one.taskId)) ?? "")).toEqual({
        status: "SUCCESS",
        result: 42,
        traceback: null,
        children: [],
        date_done: one.dateDone,
        group_id: "g1",
        task_id: one.taskId,
      });
    });

    test("what Python stored is read", async () => {
      const backend = await suite.open();
      const taskId = suite.id();
      await suite.store.raw.set(
        PREFIX + taskId,
        `{"status": "FAILURE", "result": {"exc_type": "KeyError", "exc_message": ["k"], "exc_module": "builtins"}, "traceback": "T", "children": [], "date_done": "2026-11-21T00:54:57.981049+00:00", "task_id": "${taskId}"}`,
      );
      expect(await suite.getOne(backend, taskId)).toMatchObject({
        taskId,
        status: "FAILURE",
        traceback: "T",
      });
    });

    test("ids are read in the order asked for, repeated and unknown ones too", async () => {
      const backend = await suite.open();
      const [a, b, c] = [suite.id(), suite.id(), suite.id()];
      await Promise.all([
        suite.put(backend, meta(a, { result: "a" })),
        suite.put(backend, meta(b, { result: "b" })),
      ]);
      const read = await backend.get([b, c, a, b]);
      expect(read.map((one) => one?.result ?? null)).toEqual(["b", null, "a", "b"]);
    });

    test("ids may hold any character", async () => {
      const backend = await suite.open();
      for (const taskId of ["ü 🍃\n", "__proto__", "constructor", "*", "{a}", "-"]) {
        await suite.put(backend, meta(taskId));
        expect((await suite.getOne(backend, taskId))?.taskId).toBe(taskId);
      }
    });

    test("encode is pure, and store takes what it made at any time later", async () => {
      const backend = await suite.open();
      const one = meta(suite.id());
      const [first, second] = [backend.encode(one), backend.encode(one)];
      expect(first).toEqual(second);
      expect(first.location).toEqual(backend.location);
      expect(first.keepSuccess).toBe(true);
      expect(await suite.getOne(backend, one.taskId)).toBeNull();
      await backend.store(first, null);
      expect(await suite.getOne(backend, one.taskId)).toEqual(one);
    });

    test("a result that cannot travel is refused by encode", async () => {
      const backend = await suite.open();
      const loop: unknown[] = [];
      loop.push(loop);
      expect(thrownBy(() => backend.encode(meta(suite.id(), { result: loop }))).code).toBe("PET_ENCODE");
    });

    test("a big value comes back whole", async () => {
      const backend = await suite.open();
      const one = meta(suite.id(), { result: "x🍃".repeat(1_200_000) });
      await suite.put(backend, one);
      expect(await suite.getOne(backend, one.taskId)).toEqual(one);
    });

    test("thousands at once, small and big", async () => {
      const backend = await suite.open();
      const metas = Array.from({ length: 3000 }, (_, i) =>
        meta(suite.id(), { result: i % 500 === 0 ? "y".repeat(400_000) : i }),
      );
      await Promise.all(metas.map((one) => suite.put(backend, one)));
      const read = await backend.get(metas.map((one) => one.taskId));
      expect(read.every((one, i) => one?.result === metas[i]?.result)).toBe(true);
    });

    test("the states of a task arrive in the order they were stored", async () => {
      const [backend, other] = [await suite.open(), await suite.open()];
      const taskId = suite.id();
      const seen: unknown[] = [];
      const watch = other.watch(taskId, (one) => seen.push(one.result));
      await watch.ready;
      const stores: Promise<void>[] = [];
      for (let i = 0; i < 200; i++) {
        stores.push(suite.put(backend, meta(taskId, { status: "PROGRESS", result: i, dateDone: null })));
        if (i % 17 === 0) await Promise.resolve();
      }
      stores.push(suite.put(backend, meta(taskId, { result: "end" })));
      await Promise.all(stores);
      expect((await suite.getOne(backend, taskId))?.result).toBe("end");
      await eventually("all seen", () => seen.at(-1) === "end");
      const all = [...Array.from({ length: 200 }, (_, i) => i), "end"];
      // Each at most once and in this order.
      expect(seen).toEqual(suite.store.rows ? all.filter((one) => seen.includes(one)) : all);
      watch.close();
    });
  });
  describe("guard of SUCCESS", () => {
    test("a stored SUCCESS stays, whatever comes", async () => {
      const backend = await suite.open();
      const taskId = suite.id();
      await suite.put(backend, meta(taskId, { result: "first" }));
      for (const status of ["FAILURE", "REVOKED", "STARTED", "PROGRESS", "SUCCESS"]) {
        await suite.put(backend, meta(taskId, { status, result: "later" }));
        expect(await suite.getOne(backend, taskId)).toMatchObject({ status: "SUCCESS", result: "first" });
      }
    });

    test("a SUCCESS of Python's stays", async () => {
      const backend = await suite.open();
      const texts = [
        (taskId: string) => `{"status": "SUCCESS", "result": 5, "task_id": "${taskId}"}`,
        (taskId: string) => `{"task_id": "${taskId}", "result": 5,\n "status" : "SUCCESS"}`,
        (taskId: string) =>
          `{"children": [{"status": "FAILURE"}], "result": 5, "status": "SUCCESS", "task_id": "${taskId}"}`,
      ];
      for (const text of texts) {
        const taskId = suite.id();
        await suite.store.raw.set(PREFIX + taskId, text(taskId));
        await suite.put(backend, meta(taskId, { status: "REVOKED", result: null }));
        expect(await suite.getOne(backend, taskId)).toMatchObject({ status: "SUCCESS", result: 5 });
      }
    });

    test("other states are overwritten, even when they speak of SUCCESS", async () => {
      const backend = await suite.open();
      const traps = [
        meta(suite.id(), { status: "PROGRESS", result: { status: "SUCCESS" } }),
        meta(suite.id(), { status: "FAILURE", result: '{"status": "SUCCESS"' }),
        meta(suite.id(), { status: "SUCCESSFUL", result: 1 }),
        meta(suite.id(), { status: "success", result: 1 }),
        meta(suite.id(), { status: 'x","status":"SUCCESS', result: 1 }),
      ];
      for (const trap of traps) {
        await suite.put(backend, trap);
        await suite.put(backend, meta(trap.taskId, { result: "done" }));
        expect(await suite.getOne(backend, trap.taskId)).toMatchObject({ status: "SUCCESS", result: "done" });
      }
    });

    test("text that is no result is overwritten", async () => {
      const backend = await suite.open();
      for (const text of [
        "",
        "SUCCESS",
        '"SUCCESS"',
        "[]",
        "null",
        '{"status":"SUCCESS',
        '{"status":["SUCCESS"]}',
        '{"result":{"status":"SUCCESS"},"status":"RETRY"}',
      ]) {
        const taskId = suite.id();
        await suite.store.raw.set(PREFIX + taskId, text);
        await suite.put(backend, meta(taskId));
        expect((await suite.getOne(backend, taskId))?.result).toBe(42);
      }
    });
  });
  describe("time to live and forget", () => {
    test("results expire after the time that was set", async ({ skip }) => {
      if (suite.store.rows) skip(NO_TTL);
      const backend = await suite.open({ expiresSeconds: 100 });
      const one = meta(suite.id());
      await suite.put(backend, one);
      const ttl = await suite.store.raw.ttl(PREFIX + one.taskId);
      expect(ttl).toBeGreaterThan(95);
      expect(ttl).toBeLessThanOrEqual(100);
    });

    test("a short time ends", async () => {
      const backend = await suite.open({ expiresSeconds: 1 });
      const one = meta(suite.id());
      await suite.put(backend, one);
      suite.store.advance(1001);
      expect(await backend.cleanup()).toBeGreaterThanOrEqual(suite.store.rows ? 1 : 0);
      await eventually("it is gone", async () => (await suite.getOne(backend, one.taskId)) === null);
      // A store may look twice a second for what has expired.
      await eventually(
        "nothing is left of it",
        async () => (await suite.store.raw.get(PREFIX + one.taskId)) === null,
      );
    });

    test("0 keeps results for ever, fractions do not", async ({ skip }) => {
      if (suite.store.rows) skip(NO_TTL);
      const forever = await suite.open({ expiresSeconds: 0 });
      const one = meta(suite.id());
      await suite.put(forever, one);
      expect(await suite.store.raw.ttl(PREFIX + one.taskId)).toBe(-1);
      const fraction = await suite.open({ expiresSeconds: 0.4 });
      const other = meta(suite.id());
      await suite.put(fraction, other);
      expect(await suite.store.raw.ttl(PREFIX + other.taskId)).toBe(1);
    });

    test("the log of a task is kept as long as a result, replaced as a whole, and forgotten with it", async () => {
      const backend = await suite.open({ expiresSeconds: 100 });
      const { signal } = new AbortController();
      const taskId = suite.id();
      expect(await backend.getLogs(taskId)).toBeNull();
      await backend.storeLogs(taskId, "one\ntwo ü🍃", signal);
      expect(await backend.getLogs(taskId)).toBe("one\ntwo ü🍃");
      expect(await suite.getOne(backend, taskId)).toBeNull();
      await backend.storeLogs(taskId, "three", signal);
      expect(await backend.getLogs(taskId)).toBe("three");
      const ttl = await suite.store.raw.ttl(`petiole-task-log-${taskId}`);
      expect(ttl).toBeGreaterThan(suite.store.rows ? 0 : 95);
      expect(ttl).toBeLessThanOrEqual(suite.store.rows ? Number.POSITIVE_INFINITY : 100);
      await backend.forget(taskId);
      expect(await backend.getLogs(taskId)).toBeNull();
      if (suite.store.rows) return;
      const forEver = await suite.open({ expiresSeconds: 0 });
      await forEver.storeLogs(taskId, "four", signal);
      expect(await suite.store.raw.ttl(`petiole-task-log-${taskId}`)).toBe(-1);
    });

    test("forget deletes the result and ends its watches", async () => {
      const [backend, other] = [await suite.open(), await suite.open()];
      const taskId = suite.id();
      const seen: unknown[] = [];
      const watch = backend.watch(taskId, (one) => seen.push(one.result));
      await watch.ready;
      await suite.put(backend, meta(taskId, { result: 1 }));
      await eventually("seen", () => seen.length === 1);
      await backend.forget(taskId);
      expect(await suite.getOne(backend, taskId)).toBeNull();
      await eventually("nobody listens", async () => (await suite.store.raw.listening()) === 0);
      await suite.put(other, meta(taskId, { result: 2 }));
      expect((await suite.getOne(backend, taskId))?.result).toBe(2);
      expect(seen).toEqual([1]);
      watch.close();
      await backend.forget(suite.id());
    });
  });
  describe("what cannot be read", () => {
    const broken = ["hello", "5", "[]", '"x"', "{", '{"status":5,"task_id":"x"}', "[".repeat(50_000)];

    test("a get of it rejects with a BackendError, other gets go on", async () => {
      const backend = await suite.open();
      const good = meta(suite.id());
      await suite.put(backend, good);
      for (const text of broken) {
        const taskId = suite.id();
        await suite.store.raw.set(PREFIX + taskId, text);
        const failure = await failureOf(backend.get([taskId]));
        expect([failure.name, failure.code]).toEqual(["BackendError", "PET_BACKEND"]);
      }
      expect(await suite.getOne(backend, good.taskId)).toEqual(good);
    });

    test("more than the limit is not read", async () => {
      const backend = await suite.open({ limits: { ...DEFAULT_LIMITS, maxDecompressedBytes: 10_000 } });
      const [small, big] = [meta(suite.id()), meta(suite.id(), { result: "x".repeat(20_000) })];
      await Promise.all([suite.put(backend, small), suite.put(backend, big)]);
      expect((await failureOf(backend.get([big.taskId]))).name).toBe("BackendError");
      expect(await suite.getOne(backend, small.taskId)).toEqual(small);
    });

    test("a hostile result does not reach the prototypes", async () => {
      const backend = await suite.open();
      const taskId = suite.id();
      await suite.store.raw.set(
        PREFIX + taskId,
        `{"status":"SUCCESS","result":{"__proto__":{"polluted":1}},"__proto__":{"polluted":1},"task_id":"${taskId}"}`,
      );
      const read = await suite.getOne(backend, taskId);
      expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
      expect((read!.extra as Record<string, unknown>)["polluted"]).toBeUndefined();
      expect((read!.result as Record<string, unknown>)["polluted"]).toBeUndefined();
    });
  });
}
