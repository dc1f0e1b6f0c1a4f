import { describe, expect, test } from "vitest";
import {
  jobOf,
  outcomeOf,
  readInChild,
  readInParent,
  receivedFields,
  sendableFields,
  write,
  writeEnd,
  writeJob,
} from "../../../src/pool/messages.ts";
import type { Job, Outcome } from "../../../src/protocol/job.ts";
import { Uuid } from "../../../src/protocol/values.ts";

const JOB: Job = {
  id: "1",
  task: "shop.add",
  args: [1, new Date(5), 2n ** 65n],
  kwargs: { id: new Uuid("12345678-1234-5678-1234-567812345678") },
  request: { id: "1", args: "not twice", kwargs: "not twice", eta: null, properties: { a: [1] } },
  softTimeLimitMs: 5,
  timeLimitMs: null,
};

describe("what a pool and its child say", () => {
  test("a job arrives as it was, its arguments once", () => {
    const text = writeJob(JOB);
    expect(text).not.toContain("not twice");
    const arrived = jobOf(readInChild(text));
    expect(arrived).toEqual({ ...JOB, request: { ...JOB.request, args: JOB.args, kwargs: JOB.kwargs } });
    expect(arrived.request["args"]).toBe(arrived.args);
  });

  test.each<Outcome>([
    { kind: "success", value: { at: new Date(7) }, runtimeMs: 3, children: [[["a", null], null]] },
    { kind: "success", value: ["success", 1, [2, []]], runtimeMs: 3, children: [] },
    {
      kind: "failure",
      error: { type: "E", module: "m", args: [2n ** 70n], traceback: "t" },
      expected: true,
      runtimeMs: 1,
      children: [],
    },
    {
      kind: "retry",
      delayMs: 5,
      etaMs: null,
      cause: null,
      reason: "r",
      overrides: { args: [1] },
      children: [],
    },
    { kind: "rejected", requeue: true, reason: null },
    { kind: "ignored", reason: "r" },
  ])("an outcome arrives as it was: $kind", (outcome) => {
    const message = readInParent(writeEnd(outcome, 12.5, "m"));
    expect(message?.[0]).toBe("end");
    expect(outcomeOf(message?.[1])).toEqual(outcome);
    expect(message?.[2]).toBe(13);
  });

  test("what cannot travel becomes a failure that says where it is", () => {
    const value = { deep: [() => {}] };
    const message = readInParent(writeEnd({ kind: "success", value, runtimeMs: 1, children: [] }, null, "m"));
    expect(outcomeOf(message?.[1])).toMatchObject({
      kind: "failure",
      error: { type: "EncodeError", args: [expect.stringContaining("deep")] },
    });
    expect(() => writeJob({ ...JOB, args: [() => {}] })).toThrow(/arguments/);
  });

  test("arguments may be nested as deep as a message's", () => {
    let deep: unknown = [];
    for (let n = 0; n < 190; n += 1) deep = [deep];
    expect(jobOf(readInChild(writeJob({ ...JOB, args: [deep] }))).args).toEqual([deep]);
  });

  test("what is not ours is not read", () => {
    const others: readonly unknown[] = [null, 1, {}, "", "ready", '["torn', '{"a":1}', ["ready"]];
    expect(others.map((one) => readInParent(one))).toEqual(others.map(() => null));
    expect(readInParent(write(["ready"]))).toEqual(["ready"]);
  });

  test("fields of a log line keep errors, and lose only what cannot travel", () => {
    const err = new RangeError("no");
    const back = receivedFields(
      readInParent(
        write(["log", "warn", null, sendableFields({ err, n: 1, fn: () => {}, at: new Date(1) }), "said"]),
      )?.[3] as Record<string, unknown>,
    );
    const arrived = back["err"] as Error;
    expect([arrived instanceof Error, arrived.name, arrived.message, arrived.stack]).toEqual([
      true,
      "RangeError",
      "no",
      err.stack,
    ]);
    expect([back["n"], back["at"], typeof back["fn"]]).toEqual([1, new Date(1), "string"]);
  });
});
