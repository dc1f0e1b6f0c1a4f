/** Stamps and visitors, without a broker. What Celery makes of the same: `test/interop/stamps.test.ts`. */
import { describe, expect, test } from "vitest";
import { chained, linkTo } from "../../../src/canvas/compose.ts";
import { chordData, groupData, kindOf } from "../../../src/canvas/data.ts";
import { marksOf, stampAll } from "../../../src/canvas/stamp.ts";
import {
  chain,
  chord,
  DecodeError,
  EncodeError,
  group,
  type StampingVisitor,
  type VisitorHeaders,
} from "../../../src/index.ts";
import type { SignatureData } from "../../../src/protocol/wire.ts";
import { testApp } from "../app/support.ts";
import { task } from "./support.ts";

/** All single tasks of a canvas, linked ones too, by name. */
function tasksIn(canvas: unknown): Map<string, SignatureData> {
  const found = new Map<string, SignatureData>();
  const look = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const one = value as SignatureData;
    if ("subtask_type" in one && kindOf(one) === "task") found.set(one.task, one);
    for (const part of Object.values(value)) look(part);
  };
  look(canvas);
  return found;
}

/** What each task is stamped with. */
function stampsIn(canvas: { toJSON(): SignatureData }): Record<string, unknown> {
  return Object.fromEntries(
    [...tasksIn(canvas.toJSON())].map(([name, { options }]) => [
      name,
      Object.fromEntries((options["stamped_headers"] as string[]).map((one) => [one, options[one]])),
    ]),
  );
}

function app() {
  const { app: made } = testApp();
  const named = (name: string) => made.remote<(value?: unknown) => unknown>(name);
  return { a: named("a"), b: named("b"), c: named("c"), d: named("d"), e: named("e") };
}

test("stamps reach every task and what is linked to it; of one name the later wins", () => {
  const [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map((name) => task(name)) as [
    SignatureData,
    SignatureData,
    SignatureData,
    SignatureData,
    SignatureData,
  ];
  const linked = linkTo(a, "link", d);
  const whole = chordData([groupData([linked]), chained([b, c])], e);
  const made = stampAll(stampAll(whole, marksOf({ tenant: 1, x: [1] })), marksOf({ tenant: 2 }));
  const found = tasksIn(made);
  expect([...found.keys()].toSorted()).toEqual(["a", "b", "c", "d", "e"]);
  for (const one of found.values())
    expect(one.options).toMatchObject({ tenant: 2, x: [1], stamped_headers: ["tenant", "x"] });
});

test.each([
  // first, second (the later stamp), what is left, and with appendStamps
  [1, 2, 2, [2, 1]],
  ["old", "new", "new", ["new", "old"]],
  [["old"], ["new"], ["new", "old"], ["new", "old"]],
  ["old", ["new"], ["new"], ["new", "old"]],
  [["old"], "new", "new", ["new", "old"]],
  [null, "new", "new", ["new", null]],
  ["old", null, null, ["old"]],
  [
    { x: 1, y: 2 },
    { x: 3, z: 4 },
    { x: [3, 1], z: 4, y: 2 },
    { x: [3, 1], z: 4, y: 2 },
  ],
])("of %o and then %o there is %o, with appendStamps %o", (first, second, plain, appended) => {
  const { a: one } = app();
  const once = one.s().stamp({ mark: first });
  expect(stampsIn(once.stamp({ mark: second }))).toEqual({ a: { mark: plain } });
  expect(stampsIn(once.stamp({ mark: second }, { appendStamps: true }))).toEqual({ a: { mark: appended } });
});

describe("a visitor", () => {
  function noting(): { readonly visitor: StampingVisitor; readonly calls: unknown[] } {
    const calls: unknown[] = [];
    const note =
      (method: string) =>
      (signature: { readonly subtaskType: string | null; readonly task: string }): undefined => {
        calls.push(`${method} ${signature.subtaskType ?? signature.task}`);
      };
    const visitor: StampingVisitor = {
      onSignature: note("onSignature"),
      onGroupStart: note("onGroupStart"),
      onGroupEnd: note("onGroupEnd"),
      onChainStart: note("onChainStart"),
      onChainEnd: note("onChainEnd"),
      onChordBody: note("onChordBody"),
      onCallback: note("onCallback"),
      onErrback: note("onErrback"),
    };
    return { visitor, calls };
  }

  test("is asked of every part, from outside in, in Celery's order", () => {
    const { a, b, c, d, e } = app();
    const { visitor, calls } = noting();
    const canvas = chain(a.s(), chord([b.s(), group([c.s()])], d.si().link(e.si()).linkError(e.si())));
    canvas.stamp(visitor);
    expect(calls).toEqual([
      "onChainStart chain",
      "onSignature a",
      // Of a header a visitor may know no more than that it is a group.
      "onGroupStart group",
      "onSignature b",
      "onGroupStart group",
      "onSignature c",
      "onGroupEnd group",
      "onGroupEnd group",
      "onChordBody chord",
      "onCallback e",
      "onSignature e",
      "onErrback e",
      "onSignature e",
      "onSignature d",
      "onChainEnd chain",
    ]);
  });

  test("with methods for a chord's header is asked those, with the chord", () => {
    const { a, b } = app();
    const { visitor, calls } = noting();
    chord([a.s()], b.s() as never).stamp({
      ...visitor,
      onChordHeaderStart: (one) => void calls.push(`start ${one.subtaskType}`),
      onChordHeaderEnd: (one) => void calls.push(`end ${one.subtaskType}`),
    });
    expect(calls).toEqual([
      "start chord",
      "onSignature a",
      "end chord",
      "onChordBody chord",
      "onSignature b",
    ]);
  });

  test("gives what it says to all that is inside, which each may add to", () => {
    const { a, b, c, d } = app();
    const seen: VisitorHeaders[] = [];
    const visitor: StampingVisitor = {
      onChainStart: () => ({ row: 1 }),
      onGroupStart: () => ({ group: 2 }),
      onChordBody: () => ({ body: 3 }),
      onCallback: () => ({ called: 4 }),
      onSignature(one, headers) {
        seen.push(headers);
        return { name: one.task };
      },
    };
    const canvas = chain(a.s(), chord([b.s()], c.s().link(d.s()) as never)) as never as ReturnType<
      typeof a.s
    >;
    expect(stampsIn(canvas.stamp(visitor, { stamps: { all: 0 } }))).toEqual({
      a: { all: 0, row: 1, name: "a" },
      b: { all: 0, row: 1, group: 2, name: "b" },
      c: { all: 0, row: 1, group: 2, body: 3, name: "c" },
      d: { all: 0, row: 1, group: 2, body: 3, called: 4, name: "d" },
    });
    expect(seen[0]).toEqual({ all: 0, row: 1, stampedHeaders: ["all", "row"] });
  });

  test("yields to what is there, unless stamps are appended", () => {
    const { a } = app();
    const visitor: StampingVisitor = { onSignature: () => ({ who: "visitor" }) };
    const stamps = { who: "call" };
    expect(stampsIn(a.s().stamp(visitor, { stamps }))).toEqual({ a: { who: "call" } });
    expect(stampsIn(a.s().stamp(visitor, { stamps, appendStamps: true }))).toEqual({
      a: { who: ["call", "visitor"] },
    });
  });

  test("sets options and properties by what it does not list as a stamp", async () => {
    const made = testApp();
    const one = made.app.remote<() => null>("a");
    const visitor: StampingVisitor = {
      onSignature: () => ({
        tenant: "acme",
        timeLimit: 7,
        "x-mark": [1],
        correlation_id: "not this",
        stampedHeaders: ["tenant"],
      }),
    };
    const { id } = await one.s().stamp(visitor).delay();
    const [sent] = made.transport.sent;
    expect(sent?.message.headers).toMatchObject({
      timelimit: [7, null],
      stamps: { tenant: "acme" },
      stamped_headers: ["tenant"],
    });
    expect(sent?.message.properties).toMatchObject({ "x-mark": [1], correlation_id: id });
  });

  test("cannot give a stamp the name of an option, nor an option a wrong value, nor anything but stamps", () => {
    const { a } = app();
    expect(() => a.s().stamp({ queue: "x" })).toThrow(EncodeError);
    expect(() => a.s().stamp({ onSignature: () => ({ taskId: "x" }) })).toThrow(/cannot be named "taskId"/u);
    expect(() => a.s().stamp({ onSignature: () => ({ queue: 1, stampedHeaders: [] }) })).toThrow(DecodeError);
    expect(() => a.s().stamp({ onSignature: () => "x" as never })).toThrow(
      /onSignature of a stamping visitor/u,
    );
  });

  test("that adds nothing leaves tasks stamped with nothing, as in Celery", () => {
    const { a } = app();
    expect(
      a
        .s()
        .stamp({ onSignature: () => undefined })
        .toJSON().options,
    ).toEqual({ stamped_headers: [] });
  });
});
