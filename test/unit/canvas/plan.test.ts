import { describe, expect, test } from "vitest";
import { chained, compose, giveTo } from "../../../src/canvas/compose.ts";
import { bodyOf, chordData, groupData, headerOf, kindOf, tasksOf } from "../../../src/canvas/data.ts";
import { type CanvasPlan, type Given, planCanvas } from "../../../src/canvas/plan.ts";
import type { SignatureData } from "../../../src/protocol/wire.ts";
import { drawnOne, shape, task } from "./support.ts";

const NOTHING = { args: [], kwargs: {}, options: {} };

function planOf(signature: SignatureData, given: Partial<Given> = {}): CanvasPlan {
  let last = 0;
  const work = planCanvas(
    signature,
    { ...NOTHING, ...given },
    {
      newId: () => {
        last += 1;
        return `id${last}`;
      },
      replyTo: "me",
    },
  );
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

const sent = (plan: CanvasPlan) => plan.sends.map((one) => [one.task, one.args]);

describe("what is sent now", () => {
  test("given arguments go to the first step of a chain, to each member of a group, to a chord's header", () => {
    const given = { args: [9] };
    expect(sent(planOf(chained([task("a", 1), task("b")]), given))).toEqual([["a", [9, 1]]]);
    expect(sent(planOf(groupData([task("a"), task("b", 2)]), given))).toEqual([
      ["a", [9]],
      ["b", [9, 2]],
    ]);
    const chord = chordData([task("a"), { ...task("b", 2), immutable: true }], task("c"));
    expect(sent(planOf(chord, given))).toEqual([
      ["a", [9]],
      ["b", [2]],
    ]);
  });

  test("options of a chord go to its header and its body", () => {
    const plan = planOf(chordData([task("a")], task("b")), { options: { queue: "q", task_id: "mine" } });
    const [header] = plan.sends;
    expect(header?.options).toMatchObject({ queue: "q" });
    expect((header as SignatureData).options["chord"]).toMatchObject({
      options: { queue: "q", task_id: "mine" },
    });
    expect(plan.result.id).toBe("mine");
  });

  test("an empty chain sends nothing, an empty group too", () => {
    expect(planOf(chained([])).sends).toEqual([]);
    expect(planOf(groupData([]))).toMatchObject({ sends: [], chords: [], result: { children: [] } });
  });

  test("parents: each step's is the one before, a body's is its header", () => {
    const { result } = planOf(chained([task("a"), groupData([task("b"), task("c")]), task("d")]));
    expect(result.children).toBeNull();
    expect(result.parent?.children).toHaveLength(2);
    expect(result.parent?.parent).toMatchObject({ parent: null, children: null });
  });

  test("a member that ends in a group counts once: its results are handed on as a list", () => {
    const header = [task("a"), chained([task("b"), groupData([task("c"), task("d")])])];
    const plan = planOf(chordData(header, task("e")));
    expect(plan.chords.map(({ size }) => size)).toEqual([2]);
    const second = plan.sends[1] as SignatureData;
    const [rest] = second.options["chain"] as readonly SignatureData[];
    expect(shape(rest as SignatureData)).toBe("[c, d]>celery.accumulate");
    expect(bodyOf(rest as SignatureData).options).toMatchObject({ group_index: 1, chord: { task: "e" } });
  });

  test("groups in a header are part of it, in their order", () => {
    const header = [task("a"), groupData([task("b"), groupData([task("c")]), task("d")]), task("e")];
    const plan = planOf(chordData(header, task("z")));
    expect(plan.sends.map(({ task: name, options }) => [name, options["group_index"]])).toEqual([
      ["a", 0],
      ["b", 1],
      ["c", 2],
      ["d", 3],
      ["e", 4],
    ]);
    expect(plan.chords.map(({ size }) => size)).toEqual([5]);
  });

  test("a chain of chords grows with its length, not with its power", () => {
    const bytes = (count: number): number => {
      let made: SignatureData = task("start");
      for (let index = 0; index < count; index += 1)
        made = compose(compose(made, groupData([task("x"), task("y")])), task("sum"));
      return JSON.stringify(planOf(made).sends).length;
    };
    expect(bytes(100) / bytes(50)).toBeLessThan(2.1);
  });
});

/** Ids of all tasks that a plan names, sent now or later. */
function idsOf(value: unknown, found = new Map<string, Set<string>>()): ReadonlyMap<string, Set<string>> {
  if (typeof value !== "object" || value === null) return found;
  const one = value as SignatureData;
  if ("subtask_type" in one && kindOf(one) === "task") {
    const id = one.options["task_id"] as string;
    found.set(id, (found.get(id) ?? new Set()).add(one.task));
  }
  for (const part of Object.values(value)) idsOf(part, found);
  return found;
}

function leaves(data: SignatureData): number {
  switch (kindOf(data)) {
    case "chain":
    case "group":
      return tasksOf(data).reduce((sum, one) => sum + leaves(one), 0);
    case "chord":
      return leaves(headerOf(data)) + leaves(bodyOf(data));
    case "chunks":
    case "task":
      return 1;
  }
}

test("every task of a random canvas has one id, which no other has; planning it again changes nothing", () => {
  for (let round = 0; round < 500; round += 1) {
    const made = chained([drawnOne(4)]);
    const plan = planOf(made);
    const ids = idsOf(plan.sends);
    for (const names of ids.values()) expect(names.size).toBe(1);
    const accumulated = [...ids.values()].filter((names) => names.has("celery.accumulate")).length;
    expect(ids.size - accumulated).toBe(leaves(made));
    for (const { options } of plan.sends) {
      const next = (options["chain"] as readonly SignatureData[] | undefined)?.at(-1);
      if (next === undefined) continue;
      const again = planOf(next, { options: { task_id: next.options["task_id"] } });
      const before = idsOf(next);
      for (const id of idsOf(again.sends).keys()) expect(before.has(id)).toBe(true);
    }
  }
});

test("a random canvas that was given arguments is sent as one that is called with them", () => {
  const given = { args: ["first"], kwargs: { key: 1 } };
  for (let round = 0; round < 500; round += 1) {
    const made = fixed(drawnOne(4), round);
    const before = JSON.stringify(made);
    expect(planOf(giveTo(made, given))).toEqual(planOf(made, given));
    expect(JSON.stringify(made)).toBe(before);
  }
});

test("a canvas that had arguments of its own has them after those it is given", () => {
  const chain = { ...chained([task("a", 3), task("b")]), args: [2] };
  expect(sent(planOf(giveTo(chain, { args: [1], kwargs: {} })))).toEqual([["a", [1, 2, 3]]]);
  const chord = { ...chordData([task("a", 3)], task("b")), args: [2] };
  expect(sent(planOf(giveTo(chord, { args: [1], kwargs: {} })))).toEqual([["a", [1, 2, 3]]]);
});

/** Some of its tasks immutable. */
function fixed(data: SignatureData, round: number): SignatureData {
  if (kindOf(data) === "task") return { ...data, immutable: (data.task.charCodeAt(0) + round) % 3 === 0 };
  const one = (part: SignatureData): SignatureData => fixed(part, round);
  const kwargs =
    kindOf(data) === "chord"
      ? { ...data.kwargs, header: one(headerOf(data)), body: one(bodyOf(data)) }
      : { ...data.kwargs, tasks: tasksOf(data).map(one) };
  return { ...data, kwargs };
}
