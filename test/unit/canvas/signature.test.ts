import { describe, expect, test } from "vitest";
import { isSignature, type TaskSignature } from "../../../src/canvas/signature.ts";
import { DecodeError } from "../../../src/errors.ts";
import { chain, group, type Kwargs, kw, signatureFrom } from "../../../src/index.ts";
import { decodeTask } from "../../../src/protocol/message.ts";
import { DEFAULT_LIMITS } from "../../../src/protocol/wire.ts";
import { testApp } from "../app/support.ts";

function setup() {
  const made = testApp();
  const add = made.app.task("add", (x: number, y: number) => x + y);
  const show = made.app.task("show", (text: string) => text);
  return { ...made, add, show };
}

describe("a signature", () => {
  test("has Celery's JSON form", () => {
    const { add } = setup();
    expect(add.s(3).toJSON()).toEqual({
      task: "add",
      args: [3],
      kwargs: {},
      options: {},
      subtask_type: null,
      immutable: false,
    });
    expect(JSON.parse(JSON.stringify(add.si(1, 2).set({ queue: "q", timeLimit: 3 })))).toEqual({
      task: "add",
      args: [1, 2],
      kwargs: {},
      options: { queue: "q", time_limit: 3 },
      subtask_type: null,
      immutable: true,
    });
  });

  test("is frozen: set, link and linkError return new ones", () => {
    const { add, show } = setup();
    const one = add.s(1, 2);
    const two = one
      .set({ queue: "q" })
      .link(app2(show))
      .linkError(show.s("x") as never);
    expect(Object.isFrozen(one)).toBe(true);
    expect(one.options).toEqual({});
    expect(two.options.queue).toBe("q");
    expect(() => (one.args as unknown[]).push(1)).toThrow(TypeError);
    expect(() => {
      (one.options as { queue?: string }).queue = "other";
    }).toThrow(TypeError);
  });

  test("does not follow the arrays it was made from", () => {
    const { app } = setup();
    const args = [1];
    const made = app.signature("add", args);
    args.push(2);
    expect(made.args).toEqual([1]);
  });

  test("links callbacks in order, each once", () => {
    const { add, show } = setup();
    const callback = app2(show);
    const linked = add.s(1, 2).link(callback).link(callback).link(add.s(3));
    expect(linked.toJSON().options["link"]).toEqual([callback.toJSON(), add.s(3).toJSON()]);
    expect(linked.options.link).toHaveLength(2);
  });

  test("puts given arguments in front of its own", () => {
    const { add } = setup();
    const merged = (add.s(3) as unknown as TaskSignature).merge([1, kw({ a: 1 })]);
    expect(merged).toMatchObject({ task: "add", args: [1, 3], kwargs: { a: 1 } });
  });

  test("ignores given arguments when it is immutable, but not given options", () => {
    const { add } = setup();
    const merged = (add.si(1, 2) as unknown as TaskSignature).merge([9], { queue: "q" });
    expect(merged).toMatchObject({ args: [1, 2], options: { queue: "q" } });
  });

  test("a clone is the same, or has what it needs and further options", async () => {
    const { app, add, last } = setup();
    const one = add.s(3).set({ queue: "q" }).stamp({ tenant: "a" });
    expect(one.clone().toJSON()).toEqual(one.toJSON());
    const two = one.clone([1], { priority: 4 });
    expect(one.toJSON().args).toEqual([3]);
    expect(two.toJSON()).toMatchObject({ args: [1, 3], options: { queue: "q", priority: 4, tenant: "a" } });
    await two.delay();
    expect(last()).toMatchObject({ args: [1, 3], priority: 4, stamps: { tenant: "a" } });
    expect(add.si(1, 2).clone([9]).args).toEqual([1, 2]);
    const remote = app.remote<(x: number, options: Kwargs<{ y: number }>) => number>("elsewhere");
    expect(
      remote
        .s()
        .clone([1, kw({ y: 2 })])
        .toJSON(),
    ).toMatchObject({ args: [1], kwargs: { y: 2 } });
  });

  test("a clone of a canvas has its arguments where they are needed", async () => {
    const { add, transport } = setup();
    const steps = chain(add.s(1), add.s(2));
    expect(steps.clone().toJSON()).toEqual(steps.toJSON());
    await group([add.s(1), steps, add.si(5, 5)])
      .clone([7], { queue: "q" })
      .delay();
    const sent = transport.sent.map(({ message, routingKey }) => [
      decodeTask(message, { accept: ["json"], limits: DEFAULT_LIMITS }).args,
      routingKey,
    ]);
    expect(sent).toEqual([
      [[7, 1], "q"],
      [[7, 1], "q"],
      [[5, 5], "q"],
    ]);
    const items = add.chunks([[1, 2]], 1);
    expect(items.clone([9]).toJSON()).toEqual(items.toJSON());
  });

  test("onError is linkError", () => {
    const { app, add } = setup();
    const errback = app.errback("told", () => {});
    expect(add.s(1, 2).onError(errback.s()).toJSON()).toEqual(add.s(1, 2).linkError(errback.s()).toJSON());
    const steps = chain(add.s(1, 2), add.s(3));
    expect(steps.onError(errback.s()).toJSON()).toEqual(steps.linkError(errback.s()).toJSON());
    expect(steps.onError(errback.s()).toJSON().options["link_error"]).toHaveLength(1);
  });

  test("sends with what it needs in front", async () => {
    const { add, last } = setup();
    const result = await add.s(3).set({ priority: 4 }).applyAsync([1], { taskId: "id-1" });
    expect(result.id).toBe("id-1");
    expect(last()).toMatchObject({ id: "id-1", task: "add", args: [1, 3], priority: 4 });
  });
});

describe("from JSON", () => {
  const data = {
    task: "add",
    args: [1],
    kwargs: {},
    options: {
      task_id: "x",
      retries: 1,
      stamped_headers: ["tenant"],
      tenant: "a",
      link: [{ task: "show", args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false }],
    },
    subtask_type: null,
    immutable: false,
  };

  test("a signature keeps what it does not understand", () => {
    const { app } = setup();
    expect(app.signatureFrom(data).toJSON()).toEqual(data);
  });

  test("callbacks in its options are signatures again", () => {
    const { app } = setup();
    const link = app.signatureFrom(data).options.link as readonly unknown[];
    expect(isSignature(link[0])).toBe(true);
  });

  test("stamps and retries reach the message", async () => {
    const { app, last } = setup();
    await app.signatureFrom(data).delay(2);
    expect(last()).toMatchObject({
      id: "x",
      retries: 1,
      args: [2, 1],
      stampedHeaders: ["tenant"],
      stamps: { tenant: "a" },
    });
    expect(last().embed.callbacks).toHaveLength(1);
  });

  test.each([
    ["celery.chain", null, {}, /the tasks of a chain are not a list/u],
    ["celery.chord", "chord", { header: [{ task: 1 }], body: data }, /header of a chord, member 0 is not a/u],
    ["celery.chord", "chord", { header: [] }, /the body of a chord is not an object/u],
    ["x", "group", { tasks: [{ ...data, kwargs: [] }] }, /member 0.kwargs is not an object/u],
    ["celery.chunks", "chunks", { task: data, it: [], n: 0 }, /size of chunks must be/u],
    ["celery.chain", "chain", { tasks: [{ ...data, options: { queue: 1 } }] }, /option queue/u],
  ])("a broken canvas is refused where it is made: %s / %s %o", (task, type, kwargs, message) => {
    const { app } = setup();
    const make = () => app.signatureFrom({ ...data, task, kwargs, subtask_type: type, options: {} });
    expect(make).toThrow(DecodeError);
    expect(make).toThrow(message);
  });

  test("what is no signature is refused", () => {
    const { app } = setup();
    expect(() => app.signatureFrom({} as never)).toThrow(/not a signature/u);
    expect(() => app.signatureFrom(null as never)).toThrow(/not an object/u);
  });

  test("without an app in hand it is sent by the default app", async () => {
    const { app, last } = setup();
    app.setDefault();
    await signatureFrom({ ...data, options: {} }).delay(5);
    expect(last().args).toEqual([5, 1]);
  });
});

test("isSignature knows signatures from data", () => {
  const { add } = setup();
  expect(isSignature(add.s(1))).toBe(true);
  expect(isSignature(add.s(1).toJSON())).toBe(false);
  expect(isSignature(null)).toBe(false);
});

test("a signature as an argument travels in its JSON form", async () => {
  const { app, add, last } = setup();
  await app.sendTask("any", [add.s(1, 2)]);
  expect(last().args).toEqual([add.s(1, 2).toJSON()]);
});

/** A callback that takes the result, whatever it is. */
function app2(task: { s(): unknown }): ReturnType<ReturnType<typeof setup>["add"]["s"]> {
  return task.s() as never;
}
