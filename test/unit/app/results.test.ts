import { randomUUID } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import type { AppCore } from "../../../src/app/core.ts";
import { internalsOf } from "../../../src/app/internals.ts";
import { isResultTuple } from "../../../src/app/result-handle.ts";
import type { ResultBackend } from "../../../src/backends/backend.ts";
import {
  type AsyncResult,
  Celery,
  type CeleryOptions,
  ChordError,
  RemoteError,
  TaskRevokedError,
  TimeoutError,
} from "../../../src/index.ts";
import type { ResultMeta } from "../../../src/protocol/wire.ts";
import { runExecution } from "../../../src/task/current.ts";
import { NotingLogger } from "./support.ts";

/** An app with a backend in memory, and the backend as a worker has it. */
async function setup(options: CeleryOptions = {}) {
  const logger = new NotingLogger();
  const app = new Celery("t", { resultBackend: `memory://${randomUUID()}`, logger, ...options });
  const core = internalsOf(app) as AppCore;
  await core.finalize();
  const worker = await core.openBackend();
  await worker.start(new AbortController().signal);
  const store = (id: string, status: string, more: Partial<ResultMeta> = {}): Promise<void> =>
    worker.store(
      worker.encode({
        taskId: id,
        status,
        result: null,
        traceback: null,
        children: [],
        dateDone: "2026-01-01T00:00:00+00:00",
        extra: {},
        ...more,
      }),
      null,
    );
  return { app, core, store, logger };
}

const failure = { exc_type: "ValueError", exc_message: ["bad", 1], exc_module: "builtins" };

/** Lets waits get to where they wait. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("get", () => {
  test("gives a result that is stored already", async () => {
    const { app, store } = await setup();
    await store("1", "SUCCESS", { result: { n: 5 } });
    expect(await app.asyncResult("1").get()).toEqual({ n: 5 });
  });

  test("gives a result that is stored later", async () => {
    const { app, store } = await setup();
    const waiting = app.asyncResult("1").get({ timeout: 5 });
    await settle();
    await store("1", "STARTED");
    await store("1", "SUCCESS", { result: 5 });
    expect(await waiting).toBe(5);
  });

  test("undefined results are null", async () => {
    const { app, store } = await setup();
    await store("1", "SUCCESS");
    expect(await app.asyncResult("1").get()).toBeNull();
  });

  test("throws the error of a failure with its identity and traceback", async () => {
    const { app, store } = await setup();
    await store("1", "FAILURE", { result: failure, traceback: "Traceback …" });
    const error: unknown = await app
      .asyncResult("1")
      .get()
      .catch((one: unknown) => one);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({
      type: "ValueError",
      module: "builtins",
      args: ["bad", 1],
      remoteTraceback: "Traceback …",
      code: "PET_REMOTE",
    });
  });

  test.each([
    ["ChordError", "celery.exceptions", ChordError],
    ["ChordError", "evil.module", RemoteError],
    ["constructor", "celery.exceptions", RemoteError],
  ])("%s of %s is a class of the table or a plain RemoteError", async (type, module, expected) => {
    const { app, store } = await setup();
    await store("1", "FAILURE", { result: { exc_type: type, exc_message: [], exc_module: module } });
    const error = await app.asyncResult("1").get({ propagate: false });
    expect((error as Error).constructor).toBe(expected);
  });

  test("with propagate: false returns the error", async () => {
    const { app, store } = await setup();
    await store("1", "FAILURE", { result: failure });
    expect(await app.asyncResult("1").get({ propagate: false })).toBeInstanceOf(RemoteError);
    await store("2", "SUCCESS", { result: 1 });
    expect(await app.asyncResult("2").get({ propagate: false })).toBe(1);
  });

  test("throws TaskRevokedError for a revoked task, whatever was stored of it", async () => {
    const { app, store } = await setup();
    const revoked = {
      exc_type: "TaskRevokedError",
      exc_message: ["expired"],
      exc_module: "celery.exceptions",
    };
    await store("1", "REVOKED", { result: revoked });
    await store("2", "REVOKED", { result: null });
    await expect(app.asyncResult("1").get()).rejects.toMatchObject({ args: ["expired"] });
    await expect(app.asyncResult("1").get()).rejects.toThrow(TaskRevokedError);
    await expect(app.asyncResult("2").get()).rejects.toThrow(TaskRevokedError);
  });

  test("ends with TimeoutError after its timeout, and names the id", async () => {
    const { app } = await setup();
    const waiting = app.asyncResult("some-id").get({ timeout: 0.02 });
    await expect(waiting).rejects.toThrow(TimeoutError);
    await expect(waiting).rejects.toThrow(/task some-id was not ready after 0.02 s/u);
  });

  test("ends with the signal's reason", async () => {
    const { app } = await setup();
    const abort = new AbortController();
    const waiting = app.asyncResult("1").get({ signal: abort.signal });
    await settle();
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await expect(app.asyncResult("1").get({ signal: abort.signal })).rejects.toThrow("enough");
  });

  test("leaves no watch, no timer and no listener behind, however it ends", async () => {
    const { app, core, store } = await setup();
    let watches = 0;
    const openBackend = core.openBackend.bind(core);
    core.openBackend = async (): Promise<ResultBackend> => {
      const backend = await openBackend();
      const watch = backend.watch.bind(backend);
      backend.watch = (id, onMeta) => {
        watches += 1;
        const one = watch(id, onMeta);
        return {
          ready: one.ready,
          close: () => {
            watches -= 1;
            one.close();
          },
        };
      };
      return backend;
    };
    const abort = new AbortController();
    const added = vi.spyOn(abort.signal, "addEventListener");
    const removed = vi.spyOn(abort.signal, "removeEventListener");
    const done = app.asyncResult("1").get({ signal: abort.signal, timeout: 60, interval: 30 });
    const late = app.asyncResult("2").get({ signal: abort.signal, timeout: 0.01 });
    await expect(late).rejects.toThrow(TimeoutError);
    await store("1", "SUCCESS", { result: 1 });
    await done;
    const cut = app.asyncResult("3").get({ signal: abort.signal });
    await settle();
    abort.abort(new Error("enough"));
    await expect(cut).rejects.toThrow("enough");
    expect(watches).toBe(0);
    expect(removed.mock.calls.length).toBe(added.mock.calls.length);
  });

  test("polls at its interval, for what a backend cannot notify", async () => {
    const { app, core, store } = await setup();
    const openBackend = core.openBackend.bind(core);
    core.openBackend = async (): Promise<ResultBackend> => {
      const backend = await openBackend();
      backend.watch = () => ({ ready: Promise.resolve(), close: () => {} });
      return backend;
    };
    const waiting = app.asyncResult("1").get({ timeout: 5, interval: 0.01 });
    await settle();
    await store("1", "SUCCESS", { result: 1 });
    expect(await waiting).toBe(1);
  });

  test("rejects with the backend's error when the first reading fails", async () => {
    const { app, core } = await setup();
    const openBackend = core.openBackend.bind(core);
    core.openBackend = async (): Promise<ResultBackend> => {
      const backend = await openBackend();
      backend.get = () => Promise.reject(new Error("backend is gone"));
      return backend;
    };
    await expect(app.asyncResult("1").get()).rejects.toThrow("backend is gone");
  });

  test("of a task that ignores its result rejects at once", async () => {
    const { app, core } = await setup();
    core.openTransport = async () =>
      ({ start: async () => {}, declare: async () => {}, publish: async () => {} }) as never;
    const task = app.task("quiet", { ignoreResult: true }, () => 1);
    const result = await task.delay();
    await expect(result.get()).rejects.toMatchObject({ code: "PET_RESULT_IGNORED" });
    await expect(task.asyncResult("x").get()).rejects.toMatchObject({ code: "PET_RESULT_IGNORED" });
    const loud = await task.applyAsync([], { ignoreResult: false });
    await expect(loud.get({ timeout: 0.01 })).rejects.toThrow(TimeoutError);
  });

  test("without a backend rejects with PET_BACKEND_DISABLED", async () => {
    const app = new Celery("t");
    await expect(app.asyncResult("1").get()).rejects.toMatchObject({ code: "PET_BACKEND_DISABLED" });
    await expect(app.asyncResult("1").state()).rejects.toMatchObject({ code: "PET_BACKEND_DISABLED" });
  });

  test("inside a task warns once", async () => {
    const { app, store, logger } = await setup();
    await store("1", "SUCCESS", { result: 1 });
    await store("2", "SUCCESS", { result: 1 });
    const execution = {
      context: { name: "outer", app } as never,
      parent: { id: "p", rootId: "p", priority: 0 },
      children: [],
      pending: new Set<Promise<unknown>>(),
    };
    await runExecution(execution, async () => {
      await app.asyncResult("1").get();
      await app.asyncResult("2").get();
    });
    expect(logger.lines.filter((line) => line.level === "warn")).toEqual([
      expect.objectContaining({ fields: { task: "outer" } }),
    ]);
  });
});

describe("readings", () => {
  test("of a task nobody knows say PENDING", async () => {
    const { app } = await setup();
    const result = app.asyncResult("1");
    expect(await result.status()).toEqual({ ready: false, state: "PENDING", info: null });
    expect(await result.state()).toBe("PENDING");
    expect(await result.info()).toBeNull();
    expect(await result.ready()).toBe(false);
    expect(await result.traceback()).toBeNull();
    expect(await result.children()).toEqual([]);
  });

  test("of a custom state give its meta", async () => {
    const { app, store } = await setup();
    await store("1", "PROGRESS", { result: { done: 1, of: 2 } });
    const result = app.asyncResult("1");
    expect(await result.status()).toEqual({ ready: false, state: "PROGRESS", info: { done: 1, of: 2 } });
    expect(await result.info()).toEqual({ done: 1, of: 2 });
  });

  test("of a retry give the error", async () => {
    const { app, store } = await setup();
    await store("1", "RETRY", { result: failure });
    const status = await app.asyncResult("1").status();
    expect(status).toMatchObject({ ready: false, state: "RETRY" });
    expect((status as { info: unknown }).info).toBeInstanceOf(RemoteError);
  });

  test("of success and failure", async () => {
    const { app, store } = await setup();
    await store("1", "SUCCESS", { result: 1 });
    await store("2", "FAILURE", { result: failure, traceback: "tb" });
    const [one, two] = [app.asyncResult("1"), app.asyncResult("2")];
    expect(await one.status()).toEqual({ ready: true, state: "SUCCESS", result: 1 });
    expect([await one.ready(), await one.successful(), await one.failed()]).toEqual([true, true, false]);
    expect(await two.status()).toMatchObject({ ready: true, state: "FAILURE", traceback: "tb" });
    expect([await two.ready(), await two.successful(), await two.failed()]).toEqual([true, false, true]);
    expect(await two.traceback()).toBe("tb");
    expect(await two.info()).toBeInstanceOf(RemoteError);
    expect(await two.outcome()).toMatchObject({ state: "FAILURE" });
  });

  test("a ready result is asked for once", async () => {
    const { app, core, store } = await setup();
    let reads = 0;
    const openBackend = core.openBackend.bind(core);
    core.openBackend = async (): Promise<ResultBackend> => {
      const backend = await openBackend();
      const get = backend.get.bind(backend);
      backend.get = (ids) => {
        reads += 1;
        return get(ids);
      };
      return backend;
    };
    await store("1", "STARTED");
    const result = app.asyncResult("1");
    await result.state();
    await store("1", "SUCCESS", { result: 1 });
    await result.get();
    expect(reads).toBe(2);
    await result.status();
    await result.get();
    await result.children();
    expect(reads).toBe(2);
  });

  test("forget deletes the result and what the handle knew", async () => {
    const { app, store } = await setup();
    await store("1", "SUCCESS", { result: 1 });
    const result = app.asyncResult("1");
    await result.get();
    await result.forget();
    expect(await result.state()).toBe("PENDING");
    expect(await app.asyncResult("1").state()).toBe("PENDING");
  });

  test("resultCacheMax keeps ready results for other handles, the oldest go first", async () => {
    const { app, core, store } = await setup({ resultCacheMax: 2 });
    const openBackend = core.openBackend.bind(core);
    const asked: string[] = [];
    core.openBackend = async (): Promise<ResultBackend> => {
      const backend = await openBackend();
      const get = backend.get.bind(backend);
      backend.get = (ids) => {
        asked.push(...ids);
        return get(ids);
      };
      return backend;
    };
    for (const id of ["1", "2", "3"]) await store(id, "SUCCESS", { result: id });
    for (const id of ["1", "2", "3"]) await app.asyncResult(id).get();
    asked.length = 0;
    expect(await app.asyncResult("2").get()).toBe("2");
    expect(await app.asyncResult("3").state()).toBe("SUCCESS");
    expect(asked).toEqual([]);
    await app.asyncResult("1").get();
    expect(asked).toEqual(["1"]);
  });
});

describe("results of results", () => {
  test("a stored result tuple is read back as a handle, with its parents", async () => {
    const { app, store } = await setup();
    await store("inner", "SUCCESS", { result: 7 });
    await store("outer", "SUCCESS", { result: [["inner", [["mother", null], null]], null] });
    const inner = (await app.asyncResult("outer").get()) as AsyncResult<number>;
    expect(inner.id).toBe("inner");
    expect(inner.parent?.id).toBe("mother");
    expect(inner.parent?.parent).toBeNull();
    expect(await inner.get()).toBe(7);
  });

  test.each([
    [["a", null]],
    [[["a"], null]],
    [[["a", null], [1]]],
    [[[1, null], null]],
    [[["a", "b"], null]],
  ])("%j is not one", async (value) => {
    const { app, store } = await setup();
    await store("1", "SUCCESS", { result: value });
    expect(await app.asyncResult("1").get()).toEqual(value);
  });

  test("endless parents are no tuple", () => {
    let tuple: unknown = null;
    for (let depth = 0; depth < 150; depth += 1) tuple = [["x", tuple], null];
    expect(isResultTuple(tuple)).toBe(false);
  });

  test("a handle has Celery's tuple, with its parents", async () => {
    const { app, store } = await setup();
    expect(JSON.parse(JSON.stringify(app.asyncResult("1")))).toEqual([["1", null], null]);
    const tuple = [["2", [["1", null], null]], null];
    await store("outer", "SUCCESS", { result: tuple });
    expect(JSON.parse(JSON.stringify(await app.asyncResult("outer").get()))).toEqual(tuple);
  });

  test("children are handles; members stand for a group; what is neither is left out", async () => {
    const { app, store } = await setup();
    await store("1", "SUCCESS", {
      children: [
        [["a", null], null],
        [
          ["g", null],
          [
            [["b", null], null],
            [["c", null], null],
          ],
        ],
        "nonsense",
        [1, 2, 3],
      ],
    });
    expect((await app.asyncResult("1").children()).map(({ id }) => id)).toEqual(["a", "b", "c"]);
  });

  test("collect gives this and all below as they arrive, each once", async () => {
    const { app, store } = await setup();
    const child = (...ids: string[]) => ids.map((id) => [[id, null], null]);
    await store("root", "SUCCESS", { result: 0, children: child("slow", "fast") });
    await store("fast", "SUCCESS", { result: 2, children: child("leaf", "slow") });
    await store("leaf", "SUCCESS", { result: 3 });
    const seen: unknown[] = [];
    for await (const [result, value] of app.asyncResult("root").collect({ timeout: 5 })) {
      seen.push([result.id, value]);
      if (result.id === "leaf") await store("slow", "SUCCESS", { result: 1 });
    }
    expect(seen).toEqual([
      ["root", 0],
      ["fast", 2],
      ["leaf", 3],
      ["slow", 1],
    ]);
  });

  test("collect throws what fails, and stops waiting for the others", async () => {
    const { app, store } = await setup();
    await store("root", "SUCCESS", {
      children: [
        [["bad", null], null],
        [["never", null], null],
      ],
    });
    await store("bad", "FAILURE", { result: failure });
    const collecting = (async () => {
      for await (const _ of app.asyncResult("root").collect());
    })();
    await expect(collecting).rejects.toThrow(RemoteError);
    const short = (async () => {
      for await (const _ of app.asyncResult("never").collect({ timeout: 0.02 }));
    })();
    await expect(short).rejects.toThrow(TimeoutError);
  });

  test("collect can be left early", async () => {
    const { app, store } = await setup();
    await store("root", "SUCCESS", { children: [[["never", null], null]] });
    for await (const [result] of app.asyncResult("root").collect()) {
      expect(result.id).toBe("root");
      break;
    }
  });
});

describe("closing the app", () => {
  test("ends waits with PET_CLOSED and refuses later ones", async () => {
    const { app } = await setup();
    const waiting = app.asyncResult("1").get();
    const ended = waiting.catch((error: unknown) => error);
    await settle();
    await app.close();
    expect(await ended).toMatchObject({ code: "PET_CLOSED" });
    await expect(app.asyncResult("1").get()).rejects.toMatchObject({ code: "PET_CLOSED" });
  });
});

test("a backend that could not be opened is opened again by the next reading", async () => {
  const { app, core, store } = await setup();
  await store("1", "SUCCESS", { result: 1 });
  const openBackend = core.openBackend.bind(core);
  let fails = 1;
  core.openBackend = async () => {
    fails -= 1;
    if (fails >= 0) throw new Error("not yet");
    return openBackend();
  };
  await expect(app.asyncResult("1").get()).rejects.toThrow("not yet");
  expect(await app.asyncResult("1").get()).toBe(1);
});

test("a handle is not a promise", () => {
  expect("then" in new Celery("t").asyncResult("1")).toBe(false);
});
