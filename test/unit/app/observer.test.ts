import { describe, expect, test } from "vitest";
import { OperationalError, type SignalEvents } from "../../../src/index.ts";
import { testApp } from "./support.ts";

type Event = SignalEvents["beforeTaskPublish"];

describe("signals", () => {
  test("beforeTaskPublish may change headers and properties, afterTaskPublish comes when the broker has it", async () => {
    const { app, transport } = testApp();
    const seen: string[] = [];
    app.signals.beforeTaskPublish.connect(({ headers, properties, task, args }) => {
      seen.push(`before ${task} ${JSON.stringify(args)} ${transport.calls.length}`);
      headers["tenant"] = "acme";
      properties["priority"] = 9;
    });
    app.signals.afterTaskPublish.connect(({ id }) => {
      seen.push(`after ${id} ${transport.calls.length}`);
    });
    await app.sendTask("t", [1], { taskId: "x" });
    expect(seen).toEqual(["before t [1] 0", "after x 1"]);
    expect(transport.sent[0]?.message.headers["tenant"]).toBe("acme");
    expect(transport.sent[0]?.priority).toBe(9);
  });

  test("a handler may be connected for one task only, and disconnected", async () => {
    const { app } = testApp();
    const seen: string[] = [];
    const stop = app.signals.beforeTaskPublish.connect(({ task }) => seen.push(task), { sender: "b" });
    await app.sendTask("a");
    await app.sendTask("b");
    stop();
    await app.sendTask("b");
    expect(seen).toEqual(["b"]);
  });

  test("a handler that throws is logged and stops nothing", async () => {
    const { app, transport, logger } = testApp();
    app.signals.beforeTaskPublish.connect(() => {
      throw new Error("handler");
    });
    await app.sendTask("a");
    expect(transport.sent).toHaveLength(1);
    expect(logger.lines).toEqual([
      expect.objectContaining({ level: "error", message: "a signal handler failed" }),
    ]);
  });

  test("afterTaskPublish does not come for a send that failed", async () => {
    const { app, transport } = testApp({ taskPublishRetry: false });
    const seen: string[] = [];
    app.signals.afterTaskPublish.connect(({ task }) => seen.push(task));
    transport.onPublish = () => {
      throw new OperationalError("refused", { outcome: "not sent" });
    };
    await expect(app.sendTask("a")).rejects.toThrow(OperationalError);
    expect(seen).toEqual([]);
  });
});

describe("middleware", () => {
  test("wraps publishing, the first outermost", async () => {
    const { app, transport } = testApp();
    const seen: string[] = [];
    for (const name of ["outer", "inner"]) {
      app.use({
        async publish(message, next) {
          seen.push(`${name} in`);
          message.headers[name] = true;
          await next();
          seen.push(`${name} out ${transport.calls.length}`);
        },
      });
    }
    await app.sendTask("t");
    expect(seen).toEqual(["outer in", "inner in", "inner out 1", "outer out 1"]);
    expect(transport.sent[0]?.message.headers).toMatchObject({ outer: true, inner: true });
  });

  test("keeps its own this, and may be without publish", async () => {
    const { app, transport } = testApp();
    class Counting {
      count = 0;
      async publish(_message: Event, next: () => Promise<void>): Promise<void> {
        this.count += 1;
        await next();
      }
    }
    const counting = new Counting();
    app.use(counting).use({});
    await app.sendTask("t");
    expect(counting.count).toBe(1);
    expect(transport.sent).toHaveLength(1);
  });

  test("that does not call next keeps the message back", async () => {
    const { app, transport } = testApp();
    app.use({ publish: async () => {} });
    await app.sendTask("t");
    expect(transport.sent).toHaveLength(0);
  });

  test("that throws makes the send fail", async () => {
    const { app, transport } = testApp();
    app.use({
      publish: async () => {
        throw new Error("no");
      },
    });
    await expect(app.sendTask("t")).rejects.toThrow("no");
    expect(transport.sent).toHaveLength(0);
  });

  test("sees the broker's error", async () => {
    const { app, transport } = testApp({ taskPublishRetry: false });
    let seen: unknown;
    app.use({
      publish: (_message, next) =>
        next().catch((error: unknown) => {
          seen = error;
          throw error;
        }),
    });
    transport.onPublish = () => {
      throw new OperationalError("refused", { outcome: "not sent" });
    };
    await expect(app.sendTask("t")).rejects.toThrow(OperationalError);
    expect(seen).toBeInstanceOf(OperationalError);
  });

  test("of many sends still makes one round trip, without those that were kept back", async () => {
    const { app, transport } = testApp();
    const after: string[] = [];
    app.use({
      async publish({ args, headers }, next) {
        if (args[0] === 2) return;
        headers["n"] = args[0];
        if (args[0] === 3) await new Promise((resolve) => setImmediate(resolve));
        await next();
        after.push(`${String(args[0])} ${transport.calls.length}`);
      },
    });
    const task = app.task("t", (n: number) => n);
    const results = await task.delayMany([[1], [2], [3]]);
    expect(results).toHaveLength(3);
    expect(transport.calls).toHaveLength(1);
    expect(transport.sent.map((one) => one.message.headers["n"])).toEqual([1, 3]);
    expect(after).toEqual(["1 1", "3 1"]);
  });

  test("of many sends that throws for one makes all fail, and the others' message is out or is not, never stuck", async () => {
    const { app, transport } = testApp();
    app.use({
      async publish({ args }, next) {
        if (args[0] === 2) throw new Error("no");
        await next();
      },
    });
    const task = app.task("t", (n: number) => n);
    await expect(task.delayMany([[1], [2], [3]])).rejects.toThrow("no");
    expect(transport.calls).toHaveLength(1);
  });

  test("of many sends sees the broker's error", async () => {
    const { app, transport } = testApp({ taskPublishRetry: false });
    let failed = 0;
    app.use({
      publish: (_message, next) =>
        next().catch((error: unknown) => {
          failed += 1;
          throw error;
        }),
    });
    transport.onPublish = () => {
      throw new OperationalError("refused", { outcome: "not sent" });
    };
    const task = app.task("t", (n: number) => n);
    await expect(task.delayMany([[1], [2]])).rejects.toThrow(OperationalError);
    expect(failed).toBe(2);
  });

  test("signals and middleware of many sends come for each", async () => {
    const { app } = testApp();
    const seen: string[] = [];
    app.signals.beforeTaskPublish.connect(({ id }) => seen.push(`before ${id}`));
    app.signals.afterTaskPublish.connect(({ id }) => seen.push(`after ${id}`));
    await app.sendMany([app.signature("t", [], { taskId: "1" }), app.signature("t", [], { taskId: "2" })]);
    expect(seen).toEqual(["before 1", "before 2", "after 1", "after 2"]);
  });
});
