import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { appBrand, internalsOf } from "../../../src/app/internals.ts";
import { AlreadyRegistered, Celery, ImproperlyConfigured } from "../../../src/index.ts";
import { NotingLogger, testApp } from "./support.ts";

async function folder(files: Readonly<Record<string, string>>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "petiole-app-"));
  onTestFinished(() => rm(path, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(path, name), text);
  return path;
}

describe("tasks", () => {
  test("have a name, an app, and are found by name", () => {
    const { app } = testApp();
    const add = app.task("shop.add", (x: number) => x);
    expect(add.name).toBe("shop.add");
    expect(add.app).toBe(app);
    expect(app.tasks.get("shop.add")).toBe(add);
    expect([...app.tasks.keys()]).toEqual(
      expect.arrayContaining(["celery.accumulate", "celery.backend_cleanup"]),
    );
  });

  test("of one name are AlreadyRegistered, and the first one stays", () => {
    const { app } = testApp();
    const first = app.task("a", () => 1);
    expect(() => app.task("a", () => 1)).toThrow(AlreadyRegistered);
    expect(() => app.errback("a", () => 1)).toThrow(AlreadyRegistered);
    expect(() => app.task("celery.accumulate", () => 1)).toThrow(AlreadyRegistered);
    expect(app.tasks.get("a")).toBe(first);
  });

  test.each([
    ["no name", ["", () => 1]],
    ["no function", ["a"]],
    ["options without a function", ["a", {}]],
    ["null for options", ["a", null, () => 1]],
  ])("with %s are refused", (_what, args) => {
    const { app } = testApp();
    expect(() => Reflect.apply(app.task as never, undefined, args)).toThrow(ImproperlyConfigured);
  });

  test("with an unknown option are refused with a suggestion", () => {
    const { app } = testApp();
    expect(() => app.task("a", { ackLate: true } as never, () => 1)).toThrow(/did you mean "acksLate"/u);
    expect(app.tasks.has("a")).toBe(false);
  });

  test("with softTimeLimit above timeLimit are warned of, not refused", () => {
    const { app, logger } = testApp();
    app.task("a", { timeLimit: 5, softTimeLimit: 10 }, () => 1);
    expect(logger.lines).toEqual([
      expect.objectContaining({ level: "warn", fields: { task: "a", timeLimit: 5, softTimeLimit: 10 } }),
    ]);
  });

  test("are not callable", () => {
    const { app } = testApp();
    expect(typeof app.task("a", () => 1)).toBe("object");
  });

  test("defined after the app is in use have their options complete at once", async () => {
    const { app, core } = testApp({ taskAcksLate: true });
    await core.finalize();
    app.task("late", () => 1);
    expect(core.registry.get("late")?.options.acksLate).toBe(true);
  });

  test("say of errbacks which kind they are", async () => {
    const { app, core } = testApp();
    app.task("old", (id: string) => id);
    app.errback("modern", () => 1);
    await core.finalize();
    expect(core.registry.get("old")?.errbackStyle).toBe("id");
    expect(core.registry.get("modern")?.errbackStyle).toBe("request");
  });
});

describe("settings", () => {
  test("may change until the first send, then assignment throws", async () => {
    const { app } = testApp();
    app.conf.taskDefaultQueue = "one";
    app.conf.update({ task_default_queue: "two" });
    await app.sendTask("t");
    expect(() => {
      app.conf.taskDefaultQueue = "three";
    }).toThrow(expect.objectContaining({ code: "PET_CONFIG_IN_USE" }));
    expect(app.conf.taskDefaultQueue).toBe("two");
  });

  test("an unknown one in the constructor is an error that suggests the nearest", () => {
    expect(() => new Celery("t", { taskSerialiser: "json" } as never)).toThrow(/taskSerializer/u);
  });

  test("come from a module that is loaded at the first send", async () => {
    const path = await folder({
      "settings.mjs": "export const celery = { task_default_queue: 'from-module' };",
    });
    const { app, transport } = testApp();
    app.configFromObject(`${join(path, "settings.mjs")}:celery`);
    await Promise.all([app.sendTask("a"), app.sendTask("b")]);
    expect(transport.sent.map((one) => one.routingKey)).toEqual(["from-module", "from-module"]);
  });

  test("a module that cannot be loaded fails every send until it can", async () => {
    const { app } = testApp();
    app.configFromObject("./nowhere.mjs:celery");
    await expect(app.sendTask("a")).rejects.toMatchObject({ code: "PET_MODULE_FAILED" });
    await expect(app.sendTask("a")).rejects.toMatchObject({ code: "PET_MODULE_FAILED" });
  });

  test("without effect are told in one warning", async () => {
    const { app, logger } = testApp({ workerPool: "prefork" });
    app.configFromObject({ worker_agent: "x" });
    await app.sendTask("a");
    await app.sendTask("b");
    expect(logger.lines.filter((line) => line.level === "warn").length).toBeLessThanOrEqual(1);
  });
});

describe("going into use", () => {
  test("tells the lifecycle hooks once, in order, and waits for them", async () => {
    const { app, transport } = testApp();
    const seen: string[] = [];
    app.onConfigure.connect(async () => {
      await Promise.resolve();
      app.conf.taskDefaultQueue = "hooked";
      seen.push("configure");
    });
    app.onAfterConfigure.connect(() => {
      seen.push(`after ${app.conf.taskDefaultQueue}`);
    });
    app.onAfterFinalize.connect(() => {
      seen.push("finalize");
    });
    await Promise.all([app.sendTask("a"), app.sendTask("b")]);
    await internalsOf(app).finalize();
    expect(seen).toEqual(["configure", "after hooked", "finalize"]);
    expect(transport.sent.map((one) => one.routingKey)).toEqual(["hooked", "hooked"]);
  });

  test("a hook that throws is logged", async () => {
    const { app, logger, transport } = testApp();
    app.onAfterConfigure.connect(() => {
      throw new Error("hook");
    });
    await app.sendTask("a");
    expect(transport.sent).toHaveLength(1);
    expect(logger.lines).toEqual([expect.objectContaining({ message: "a hook of the app failed" })]);
  });

  test("finalize loads what imports and include name", async () => {
    const path = await folder({ "one.mjs": "globalThis.petioleLoaded = 1;" });
    const { core } = testApp({ imports: [join(path, "one.mjs")] });
    await core.finalize();
    await core.finalize();
    expect((globalThis as { petioleLoaded?: number }).petioleLoaded).toBe(1);
  });

  test("the app opens nothing before the first send", () => {
    const made = testApp();
    made.app.task("a", () => 1).s();
    made.app.asyncResult("x");
    expect(made.opened).toBe(0);
  });
});

describe("the inside", () => {
  test("is found by the app alone", () => {
    const { app, core } = testApp();
    expect(internalsOf(app)).toBe(core);
    expect(() => internalsOf({} as Celery)).toThrow(TypeError);
    expect(appBrand in app).toBe(true);
  });

  test("consumedQueues are the default queue, or those that are selected", async () => {
    const { core } = testApp();
    await core.finalize();
    expect(core.consumedQueues([], []).map((queue) => queue.name)).toEqual(["celery"]);
    expect(core.consumedQueues(["a", "b"], ["b"]).map((queue) => queue.name)).toEqual(["a"]);
  });

  test("close is idempotent and closes what is open", async () => {
    const { app, transport } = testApp();
    await app.sendTask("a");
    await Promise.all([app.close(), app.close()]);
    expect(transport.stops).toBe(1);
  });

  test("an app that was never used closes without a word", async () => {
    const logger = new NotingLogger();
    await new Celery("t", { logger, brokerUrl: "redis://localhost:1" }).close();
    expect(logger.lines).toEqual([]);
  });
});

describe("over memory://", () => {
  test("a message gets into the queue", async () => {
    const app = new Celery("t", { brokerUrl: "memory://app-test" });
    await app.sendTask("a", [1]);
    const transport = await internalsOf(app).openTransport("worker");
    await transport.start(new AbortController().signal);
    expect(await transport.size("celery")).toBe(1);
    await transport.stop();
    await app.close();
  });

  test("without a broker a send says which setting is missing", async () => {
    const app = new Celery("t");
    await expect(app.sendTask("a")).rejects.toThrow(/brokerUrl/u);
    await app.close();
  });
});
