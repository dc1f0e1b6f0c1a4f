import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { testApp } from "../app/support.ts";

/** A module state of its own for each test: shared tasks and apps are the process's. */
async function fresh() {
  vi.resetModules();
  const petiole = await import("../../../src/index.ts");
  const internals = await import("../../../src/app/internals.ts");
  const make = (name: string) => {
    const app = new petiole.Celery(name);
    const sent: string[] = [];
    const core = internals.internalsOf(app) as { openTransport: unknown; finalize(): Promise<void> };
    core.openTransport = async () => ({
      start: async () => {},
      stop: async () => {},
      declare: async () => {},
      publish: async (messages: { message: { headers: Record<string, unknown> } }[]) => {
        for (const { message } of messages) sent.push(String(message.headers["task"]));
      },
    });
    return { app, core, sent };
  };
  return { ...petiole, internals, make };
}

describe("a shared task", () => {
  test("is registered with every app that is put to use, before and after", async () => {
    const { sharedTask, make } = await fresh();
    const early = make("early");
    await early.core.finalize();
    const task = sharedTask("shared", (x: number) => x);
    const late = make("late");
    expect(early.app.tasks.get("shared")).toBe(task);
    expect(late.app.tasks.get("shared")).toBe(task);
    await late.core.finalize();
    expect(late.app.tasks.get("shared")).toBe(task);
  });

  test("goes to the app that was made last, unless one is the default", async () => {
    const { sharedTask, make } = await fresh();
    const one = make("one");
    const two = make("two");
    const task = sharedTask("shared", (x: number) => x);
    await task.delay(1);
    expect([one.sent, two.sent]).toEqual([[], ["shared"]]);
    expect(task.app).toBe(two.app);
    one.app.setDefault();
    await task.delay(1);
    expect([one.sent, two.sent]).toEqual([["shared"], ["shared"]]);
    await one.app.close();
    expect(task.app).toBe(two.app);
  });

  test("goes to the app whose task is running", async () => {
    const { sharedTask, make, currentTask } = await fresh();
    const one = make("one");
    const two = make("two");
    const task = sharedTask("shared", (x: number) => x);
    const outer = one.app.task("outer", async () => {
      await task.delay(1);
      return currentTask()?.name;
    });
    expect(await (await outer.apply([])).get()).toBe("outer");
    expect([one.sent, two.sent]).toEqual([["shared"], []]);
  });

  test("goes to the app whose discovery loaded its module", async () => {
    const { sharedTask, make } = await fresh();
    const path = await mkdtemp(join(tmpdir(), "petiole-shared-"));
    onTestFinished(() => rm(path, { recursive: true }));
    await writeFile(join(path, "tasks.mjs"), "globalThis.petioleShare();");
    let task: ReturnType<typeof sharedTask> | undefined;
    (globalThis as { petioleShare?: () => void }).petioleShare = () => {
      task = sharedTask("found", (x: number) => x) as never;
    };
    const one = make("one");
    const two = make("two");
    await one.app.autodiscoverTasks(path);
    expect((task as unknown as { app: unknown }).app).toBe(one.app);
    await (task as unknown as { delay(n: number): Promise<unknown> }).delay(1);
    expect([one.sent, two.sent]).toEqual([["found"], []]);
  });

  test("has run, apply and signatures of the app of the moment", async () => {
    const { sharedTask, make, isSignature } = await fresh();
    const { sent } = make("one");
    const add = sharedTask("add", (x: number, y: number) => x + y);
    expect(await add.run(1, 2)).toBe(3);
    expect(await (await add.apply([1, 2])).get()).toBe(3);
    expect(isSignature(add.s(1))).toBe(true);
    await add.s(1).delay(2);
    await add.delayMany([[1, 2]]);
    expect(sent).toEqual(["add", "add"]);
    expect(add.asyncResult("x").id).toBe("x");
  });

  test("without an app says what to do", async () => {
    const { sharedTask } = await fresh();
    const task = sharedTask("lonely", () => 1);
    await expect(task.delay()).rejects.toMatchObject({ code: "PET_APP_NOT_FOUND" });
    expect(() => task.s()).toThrow(/new Celery/u);
  });

  test("of a name that is taken is AlreadyRegistered", async () => {
    const { sharedTask, make, AlreadyRegistered } = await fresh();
    sharedTask("twice", () => 1);
    expect(() => sharedTask("twice", () => 1)).toThrow(AlreadyRegistered);
    const { app, core } = make("one");
    app.task("mine", () => 1);
    await core.finalize();
    expect(() => sharedTask("mine", () => 1)).toThrow(AlreadyRegistered);
  });

  test("takes options, which are checked where it is put to use", async () => {
    const { sharedTask, make, internals } = await fresh();
    sharedTask("shared", { acksLate: true, queue: "q" }, () => 1);
    const { app, core } = make("one");
    await core.finalize();
    expect(internals.internalsOf(app).registry.get("shared")?.options).toMatchObject({
      acksLate: true,
      queue: "q",
    });
  });
});

test("tasks of one app know only that app", () => {
  const one = testApp();
  const two = testApp();
  one.app.task("a", () => 1);
  expect(two.app.tasks.has("a")).toBe(false);
});
