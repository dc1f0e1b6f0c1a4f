import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as protocol from "../../../src/protocol/index.ts";
import {
  DEFAULT_NODE_NAME,
  expandFileName,
  expandNodeName,
  nodeName,
  splitNodeName,
} from "../../../src/protocol/nodenames.ts";
import {
  groupTuple,
  type ResultNode,
  readResultTuple,
  resultTuple,
  tupleOrValue,
  writeResultTuple,
} from "../../../src/protocol/result-tuple.ts";
import { isException, isPropagated, isReady, states } from "../../../src/protocol/states.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "../../../src/protocol/values.ts";
import { seed } from "../../support/seed.ts";

describe("states", () => {
  const all = [
    "PENDING",
    "RECEIVED",
    "STARTED",
    "SUCCESS",
    "FAILURE",
    "REVOKED",
    "RETRY",
    "IGNORED",
    "REJECTED",
    "PROGRESS",
  ];
  test("are Celery's, and so are the sets", () => {
    expect(all.filter((state) => states.READY_STATES.has(state))).toEqual(["SUCCESS", "FAILURE", "REVOKED"]);
    expect(all.filter((state) => states.UNREADY_STATES.has(state))).toEqual([
      "PENDING",
      "RECEIVED",
      "STARTED",
      "RETRY",
      "REJECTED",
    ]);
    expect(all.filter((state) => state in states)).toEqual(all.filter((state) => state !== "PROGRESS"));
    for (const state of all) {
      expect(isReady(state)).toBe(states.READY_STATES.has(state));
      expect(isException(state)).toBe(states.EXCEPTION_STATES.has(state));
      expect(isPropagated(state)).toBe(states.PROPAGATE_STATES.has(state));
    }
  });
});

describe("node names", () => {
  test.each([
    [null, "box.example.com", "celery@box.example.com"],
    ["", "box", "celery@box"],
    ["w1@%h", "box.example.com", "w1@box.example.com"],
    ["w1@%n", "box.example.com", "w1@box"],
    ["w1@%d", "box.example.com", "w1@example.com"],
    ["w1@%n.%d%%", "box.example.com", "w1@box.example.com%"],
    ["w1@%d", "box", "w1@"],
    ["%n@%h", "box.example.com", "box@box.example.com"],
    ["other", "box", "celery@other"],
    ["w1@", "box", "w1@box"],
    ["@there", "box", "celery@there"],
    ["w1@%x%i", "box", "w1@%x%i"],
  ])("-n %s on %s is %s", (template, host, expected) => {
    expect(expandNodeName(template, host)).toBe(expected);
  });

  test("are put together, taken apart, and stand in file names", () => {
    expect(nodeName("w1", "box")).toBe("w1@box");
    expect(splitNodeName("w1@box@x")).toEqual({ name: "w1", host: "box@x" });
    expect(splitNodeName("box")).toEqual({ name: DEFAULT_NODE_NAME, host: "box" });
    expect(expandFileName("/var/log/%n-%h-%d-%i%I.log", "w1@box.example.com")).toBe(
      "/var/log/w1-box.example.com-example.com-0.log",
    );
    expect(expandFileName("%n.%d%%%q", "w1@box")).toBe("w1.%%q");
  });
});

describe("values", () => {
  test("have a text, and refuse what is none", () => {
    const values = [
      new PlainDate("2024-01-02"),
      new PlainTime("03:04:05Z"),
      new Uuid("12345678123456781234567812345678"),
      new Decimal("-1.50E+3"),
    ];
    expect(values.map(String)).toEqual([
      "2024-01-02",
      "03:04:05Z",
      "12345678-1234-5678-1234-567812345678",
      "-1.50E+3",
    ]);
    expect(JSON.stringify(values)).toBe(JSON.stringify(values.map(String)));
    expect(new Uuid("ABCDEF00-1234-5678-1234-567812345678").value).toBe(
      "abcdef00-1234-5678-1234-567812345678",
    );
    expect(
      ["NaN", "sNaN1", "-Infinity", ".5", "5.", "1e-9"].map((text) => new Decimal(text).value),
    ).toHaveLength(6);
    for (const text of ["", "2024-1-2", "2024-02-30T00:00"])
      expect(() => new PlainDate(text)).toThrow(/is not a date like/);
    for (const text of ["", "24:00", "12:60", "12"])
      expect(() => new PlainTime(text)).toThrow(/is not a time like/);
    for (const text of ["", "x".repeat(32), "1234"]) expect(() => new Uuid(text)).toThrow(/is not a UUID/);
    for (const text of ["", "one", "1,5", "."])
      expect(() => new Decimal(text)).toThrow(/is not a decimal number/);
  });
});

describe("result tuples", () => {
  const PARENT = resultTuple("p");
  test("stand for a task's and a group's result", () => {
    expect(resultTuple("a")).toEqual([["a", null], null]);
    expect(resultTuple("a", PARENT)).toEqual([["a", [["p", null], null]], null]);
    expect(groupTuple("g", [resultTuple("a")])).toEqual([["g", null], [[["a", null], null]]]);
    expect(groupTuple("g", [], PARENT)).toEqual([["g", PARENT], []]);
  });

  test("are read, in Celery's short forms too", () => {
    expect(readResultTuple(resultTuple("a", PARENT))).toEqual({
      id: "a",
      parent: { id: "p", parent: null, children: null },
      children: null,
    });
    expect(readResultTuple(["a", null])).toEqual({ id: "a", parent: null, children: null });
    expect(readResultTuple([["a", undefined], null])).toEqual({ id: "a", parent: null, children: null });
  });

  test.each<[unknown]>([
    [null],
    ["a"],
    [[]],
    [[["a"], null]],
    [[["a", null, null], null]],
    [[[5, null], null]],
    [[["a", "p"], null]],
    [[["a", null], "x"]],
    [[["a", null], ["x"]]],
    [[["a", null], null, null]],
    [{ 0: ["a", null], 1: null }],
  ])("%j is none", (value) => {
    expect(readResultTuple(value)).toBeNull();
  });

  test("a handle becomes its tuple, anything else stays what it is", () => {
    const handle = { toJSON: () => resultTuple("a", PARENT) };
    expect(tupleOrValue(handle)).toEqual(resultTuple("a", PARENT));
    const others = [
      null,
      undefined,
      5,
      "a",
      [1],
      { a: 1 },
      new Date(0),
      new Uint8Array(1),
      new URL("http://h/"),
      new Uuid("1".repeat(32)),
    ];
    for (const other of others) expect(tupleOrValue(other)).toBe(other);
  });

  test("every tree of results comes back", () => {
    const { node } = fc.letrec<{ node: ResultNode }>((tie) => ({
      node: fc.record({
        id: fc.string({ minLength: 1 }),
        parent: fc.option(tie("node"), { maxDepth: 4 }),
        children: fc.option(fc.array(tie("node"), { maxLength: 3 }), { maxDepth: 4 }),
      }),
    }));
    fc.assert(
      fc.property(node, (tree) => {
        expect(readResultTuple(JSON.parse(JSON.stringify(writeResultTuple(tree))))).toEqual(tree);
      }),
      { seed },
    );
  });
});

test("the entry exports what is documented", () => {
  expect(Object.keys(protocol).sort()).toMatchInlineSnapshot(`
    [
      "DEFAULT_LIMITS",
      "DEFAULT_NODE_NAME",
      "Decimal",
      "MAX_REPR",
      "PlainDate",
      "PlainTime",
      "Uuid",
      "compress",
      "decodeEnvelope",
      "decodeException",
      "decodeMeta",
      "decodeTask",
      "decompress",
      "deserialize",
      "encodeEnvelope",
      "encodeException",
      "encodeMeta",
      "encodeTask",
      "errorFrom",
      "exceptionInfo",
      "expandFileName",
      "expandNodeName",
      "groupTuple",
      "isException",
      "isPropagated",
      "isReady",
      "nodeName",
      "parseIso",
      "parseJson",
      "readResultTuple",
      "readSignature",
      "readSignatures",
      "registerCompression",
      "registerSerializer",
      "repr",
      "reprArgs",
      "reprKwargs",
      "resultTuple",
      "serialize",
      "splitNodeName",
      "states",
      "stringifyJson",
      "taskIdOf",
      "toIso",
      "writeResultTuple",
    ]
  `);
});
