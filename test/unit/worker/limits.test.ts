import { afterEach, describe, expect, test } from "vitest";
import { type RigOptions, turns, WorkerRig } from "./support.ts";

let rig: WorkerRig;
const ran: unknown[] = [];

async function started(options: RigOptions = {}): Promise<WorkerRig> {
  rig = new WorkerRig(options);
  ran.length = 0;
  const note = (...args: unknown[]): null => {
    ran.push(args);
    return null;
  };
  rig.app.task("t.free", note);
  rig.app.task("t.few", { maxConcurrency: 2 }, note);
  rig.app.task(
    "t.keyed",
    { acksLate: true, maxConcurrency: { limit: 3, key: keyOf } },
    (tenant: string, n = 0) => note(tenant, n),
  );
  rig.app.task("t.rated", { globalRateLimit: { rate: "30/m", burst: 4, key: keyOf } }, (tenant: string) =>
    note(tenant),
  );
  rig.app.task("t.slow", { maxConcurrency: 1 }, async () => {
    await turns(3);
    return null;
  });
  return rig.start();
}
const keyOf = (tenant: string): string => {
  if (tenant === "bad") throw new RangeError("no such tenant");
  return tenant === "odd" ? (undefined as unknown as string) : `of ${tenant}`;
};
afterEach(async () => {
  await rig.stop();
});

describe("a task with limits over all workers", () => {
  test("asks before it starts, and gives its slot back with its result", async () => {
    await started();
    await rig.run({ task: "t.few", args: [1] });
    expect(ran).toEqual([[1]]);
    expect(rig.consumer.claims).toEqual([
      { id: "t1", task: "t.few", concurrency: { key: "", limit: 2 }, rate: null },
    ]);
    expect(rig.journal).toEqual(["watch limits", "admit t1", "ack-with-result t1 SUCCESS", "release t1"]);
  });

  test("gives its key the arguments as its function gets them, positions or names", async () => {
    await started();
    await rig.run({ task: "t.keyed", args: ["a", 7] });
    await rig.run({ task: "t.keyed", id: "t2", args: [], kwargs: { n: 5, tenant: "b" } });
    await rig.run({ task: "t.rated", id: "t3", args: ["x".repeat(300)] });
    expect(rig.consumer.claims.slice(0, 2).map((claim) => claim.concurrency)).toEqual([
      { key: "of a", limit: 3 },
      { key: "of b", limit: 3 },
    ]);
    const rate = rig.consumer.claims[2]?.rate;
    expect(rate).toMatchObject({ perSecond: 0.5, burst: 4 });
    expect(rate?.key).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(ran).toEqual([["a", 7], ["b", 5], ["x".repeat(300)]]);
  });

  test.each([
    ["bad", "ValueError", "no such tenant"],
    ["odd", "TypeError", "the key of a limit is a text, not undefined"],
  ])("fails when its key cannot be made: %s", async (tenant, type, text) => {
    await started();
    await rig.run({ task: "t.keyed", args: [tenant] });
    expect(ran).toEqual([]);
    expect(rig.journal).toEqual(["watch limits", "ack-with-result t1 FAILURE"]);
    expect(rig.meta()["result"]).toMatchObject({ exc_type: type, exc_message: [text] });
  });

  test("that waits or is gone does not run, is not settled, and leaves its slot of the pool to others", async () => {
    await started({ worker: { concurrency: 1 } });
    rig.consumer.admissions.set("t1", { kind: "wait", for: "concurrency", key: "" });
    rig.consumer.admissions.set("t2", { kind: "gone" });
    rig.consumer.admissions.set("t3", { kind: "wait", for: "rate", key: "k", untilMs: 0 });
    for (const id of ["t1", "t2", "t3"]) await rig.run({ task: "t.few", id });
    await rig.run({ task: "t.free", id: "t4", args: [4] });
    expect(ran).toEqual([[4]]);
    expect(rig.journal).toEqual([
      "watch limits",
      "admit t1",
      "admit t2",
      "admit t3",
      "ack-with-result t4 SUCCESS",
    ]);
    const said = rig.logger.lines.filter((line) => line.message.includes("waits for a limit"));
    expect(said.map(({ fields }) => [fields["id"], fields["limit"], fields["key"], fields["until"]])).toEqual(
      [
        ["t1", "concurrency", "", null],
        ["t3", "rate", "k", "1970-01-01T00:00:00.000Z"],
      ],
    );
  });

  test("of which the ack comes early keeps its slot until its function has ended", async () => {
    await started();
    await rig.run({ task: "t.slow" });
    await turns(8);
    expect(rig.journal).toEqual([
      "watch limits",
      "admit t1",
      "ack-early t1",
      "release t1",
      "store t1 SUCCESS",
    ]);
  });

  test("that was called from a line and does not run leaves its slot to the next", async () => {
    await started();
    await rig.run({ task: "t.few", expires: "2020-01-01T00:00:00Z" });
    await turns();
    expect(rig.journal).toEqual(["watch limits", "ack-with-result t1 REVOKED", "release t1"]);
  });

  test("that is lost while it asks does not run", async () => {
    await started();
    const { consumer } = rig;
    const admit = consumer.admit.bind(consumer);
    consumer.admit = async (one, claim) => {
      const admission = await admit(one, claim);
      consumer.options.onLost([one]);
      return admission;
    };
    await rig.run({ task: "t.few" });
    expect(ran).toEqual([]);
    expect(rig.journal).toEqual(["watch limits", "admit t1", "release t1"]);
  });
});

test("without such a task nothing is asked, and nothing watched", async () => {
  rig = new WorkerRig();
  rig.app.task("t.add", (x: number, y: number) => x + y);
  await rig.start();
  await rig.run({ task: "t.add", args: [1, 2] });
  expect(rig.journal).toEqual(["ack-with-result t1 SUCCESS"]);
});
