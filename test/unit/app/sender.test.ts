import { describe, expect, test } from "vitest";
import { groupData } from "../../../src/canvas/data.ts";
import type { Given } from "../../../src/canvas/plan.ts";
import type { SignatureData } from "../../../src/index.ts";
import { testApp } from "./support.ts";

const parent = { id: "parent", rootId: "root", priority: 3 };

function signature(task: string, more: Partial<SignatureData> = {}): SignatureData {
  return { task, args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false, ...more };
}

describe("send", () => {
  test("a retry keeps what its options say, by their wire names", async () => {
    const { core, last, transport } = testApp();
    const id = await core.sender.send({
      task: "t",
      args: [1],
      kwargs: { a: 1 },
      options: {
        task_id: "same-id",
        retries: 2,
        eta: "2030-01-02T03:04:05+00:00",
        queue: "q",
        priority: 4,
        group_id: "g",
        group_index: 1,
        root_id: "r",
        parent_id: "p",
        time_limit: 9,
        soft_time_limit: 8,
        shadow: "s",
        ignore_result: true,
        reply_to: "reply",
        replaced_task_nesting: 1,
        headers: { own: 1 },
        stamped_headers: ["tenant"],
        tenant: "x",
        chord: signature("body"),
        chain: [signature("next")],
        link: [signature("callback")],
        link_error: signature("errback"),
      },
      parent,
    });
    expect(id).toBe("same-id");
    expect(last()).toMatchObject({
      id: "same-id",
      args: [1],
      kwargs: { a: 1 },
      retries: 2,
      group: "g",
      groupIndex: 1,
      rootId: "r",
      parentId: "p",
      timeLimit: 9,
      softTimeLimit: 8,
      shadow: "s",
      ignoreResult: true,
      replyTo: "reply",
      replacedTaskNesting: 1,
      stampedHeaders: ["tenant"],
      stamps: { tenant: "x" },
      embed: {
        callbacks: [signature("callback")],
        errbacks: [signature("errback")],
        chain: [signature("next")],
        chord: signature("body"),
      },
    });
    expect(last().headers["own"]).toBe(1);
    expect(last().headers["eta"]).toBe("2030-01-02T03:04:05+00:00");
    expect(transport.sent[0]).toMatchObject({ routingKey: "q", priority: 4 });
  });

  test("embed overrides what the options would give, part by part", async () => {
    const { core, last } = testApp();
    await core.sender.send({
      task: "t",
      args: [],
      kwargs: {},
      options: { link: signature("a"), chain: [signature("b")] },
      embed: { chain: [signature("c")] },
      parent: null,
    });
    expect(last().embed).toMatchObject({ callbacks: [signature("a")], chain: [signature("c")] });
  });

  test("options of a task that is registered here count, as for Celery's apply_async", async () => {
    const { app, core, transport } = testApp();
    app.task("t", { queue: "own" }, () => 1);
    await core.sender.send({ task: "t", args: [], kwargs: {}, options: {}, parent: null });
    expect(transport.sent[0]?.routingKey).toBe("own");
  });

  test("without ids of its own it inherits from the parent that is given", async () => {
    const { core, last } = testApp();
    await core.sender.send({ task: "t", args: [], kwargs: {}, options: {}, parent });
    expect(last()).toMatchObject({ rootId: "root", parentId: "parent" });
    await core.sender.send({ task: "t", args: [], kwargs: {}, options: { task_id: "own" }, parent: null });
    expect(last()).toMatchObject({ rootId: "own", parentId: null });
  });

  test("bad options from a broker are refused by name", async () => {
    const { core } = testApp();
    const sent = core.sender.send({
      task: "t",
      args: [],
      kwargs: {},
      options: { priority: {} },
      parent: null,
    });
    await expect(sent).rejects.toThrow(/option priority/u);
  });
});

describe("plan and publish", () => {
  const ids = (): string => "new";

  async function sent(made: ReturnType<typeof testApp>, data: SignatureData, given: Partial<Given>) {
    const { sender } = made.core;
    const plan = await sender.plan(data, { args: [], kwargs: {}, options: {}, ...given }, ids);
    await sender.publish(plan, parent);
    return plan;
  }

  test("puts the partial arguments in front", async () => {
    const made = testApp();
    const next = signature("t", { args: [2], kwargs: { a: 1 }, options: { task_id: "fixed", queue: "q" } });
    const plan = await sent(made, next, { args: [1], options: { chain: [signature("u")] } });
    expect(plan.result.id).toBe("fixed");
    expect(made.last()).toMatchObject({
      id: "fixed",
      args: [1, 2],
      kwargs: { a: 1 },
      parentId: parent.id,
      embed: { chain: [signature("u")] },
    });
  });

  test("an immutable one ignores them, and still takes the options", async () => {
    const made = testApp();
    await sent(made, signature("t", { args: [2], immutable: true }), {
      args: [1],
      options: { parent_id: "p" },
    });
    expect(made.last()).toMatchObject({ id: "new", args: [2], parentId: "p" });
  });

  test("options of the call win but for the group's id", async () => {
    const made = testApp();
    await sent(made, signature("t", { options: { group_id: "g", priority: 1 } }), {
      options: { group_id: "h", priority: 2 },
    });
    expect(made.last()).toMatchObject({ group: "g", priority: 2 });
  });

  test("a canvas is taken apart", async () => {
    const made = testApp();
    await sent(made, groupData([signature("a"), signature("b")]), { args: [1] });
    expect(made.transport.sent).toHaveLength(2);
  });

  test("bad options in a canvas are refused by name, before anything is sent", async () => {
    const made = testApp();
    const bad = groupData([signature("a"), signature("b", { options: { priority: {} } })]);
    await expect(sent(made, bad, {})).rejects.toThrow(/option priority/u);
    expect(made.transport.sent).toHaveLength(0);
  });
});
