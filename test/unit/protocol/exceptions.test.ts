import { describe, expect, test } from "vitest";
import {
  AlreadyRegistered,
  BackendError,
  ChordError,
  DecodeError,
  EncodeError,
  Ignore,
  ImproperlyConfigured,
  MaxRetriesExceededError,
  NotRegistered,
  OperationalError,
  PetioleError,
  QueueNotFound,
  Reject,
  RemoteError,
  Retry,
  SecurityError,
  SoftTimeLimitExceeded,
  TaskRevokedError,
  TimeLimitExceeded,
  TimeoutError,
  WorkerLostError,
} from "../../../src/errors.ts";
import {
  decodeException,
  encodeException,
  errorFrom,
  exceptionInfo,
} from "../../../src/protocol/exceptions.ts";
import { stringifyJson } from "../../../src/protocol/json.ts";
import { decodeMeta } from "../../../src/protocol/meta.ts";
import type { ExceptionInfo } from "../../../src/protocol/wire.ts";
import { metasOf, vectorEntries } from "../../support/vectors.ts";

class PaymentError extends Error {}
class NestedPaymentError extends PaymentError {}
class CustomRange extends RangeError {}

function named(name: string): Error {
  const error = new Error("no");
  error.name = name;
  return error;
}
const identity = (error: unknown): readonly unknown[] => {
  const { type, module, args } = exceptionInfo(error, "shop.tasks");
  return [module, type, args];
};

describe("exceptionInfo", () => {
  test.each<[string, unknown, readonly unknown[]]>([
    ["Error", new Error("no"), ["builtins", "Exception", ["no"]]],
    ["an Error without text", new Error(), ["builtins", "Exception", []]],
    ["TypeError", new TypeError("no"), ["builtins", "TypeError", ["no"]]],
    ["RangeError", new RangeError("no"), ["builtins", "ValueError", ["no"]]],
    ["SyntaxError", new SyntaxError("no"), ["builtins", "ValueError", ["no"]]],
    ["URIError", new URIError("no"), ["builtins", "ValueError", ["no"]]],
    ["ReferenceError", new ReferenceError("no"), ["builtins", "NameError", ["no"]]],
    ["EvalError", new EvalError("no"), ["builtins", "Exception", ["no"]]],
    ["AggregateError", new AggregateError([], "no"), ["builtins", "Exception", ["no"]]],
    [
      "AggregateError without text",
      new AggregateError([new Error("a"), 5]),
      ["builtins", "Exception", ["a; 5"]],
    ],
    ["a user's class", new PaymentError("no"), ["shop.tasks", "PaymentError", ["no"]]],
    ["a class of that", new NestedPaymentError("no"), ["shop.tasks", "NestedPaymentError", ["no"]]],
    ["a class of one of JavaScript's", new CustomRange("no"), ["shop.tasks", "CustomRange", ["no"]]],
    ["an Error with another name", named("ValidationError"), ["shop.tasks", "ValidationError", ["no"]]],
    ["an Error with a name that is none", named("not a name!"), ["builtins", "Exception", ["no"]]],
    ["a class without a name", new (class extends Error {})("no"), ["builtins", "Exception", ["no"]]],
    ["ours", new PetioleError("PET_CLOSED", "no"), ["builtins", "Exception", ["no"]]],
    [
      "ImproperlyConfigured",
      new ImproperlyConfigured("no"),
      ["celery.exceptions", "ImproperlyConfigured", ["no"]],
    ],
    ["NotRegistered", new NotRegistered("a.b"), ["celery.exceptions", "NotRegistered", ["a.b"]]],
    ["SecurityError", new SecurityError("no"), ["celery.exceptions", "SecurityError", ["no"]]],
    ["TimeoutError", new TimeoutError("no"), ["celery.exceptions", "TimeoutError", ["no"]]],
    ["BackendError", new BackendError("no"), ["celery.exceptions", "BackendError", ["no"]]],
    ["Retry", new Retry("no", null), ["celery.exceptions", "Retry", ["no"]]],
    ["Ignore", new Ignore("no"), ["celery.exceptions", "Ignore", ["no"]]],
    ["Reject", new Reject("no", { requeue: true }), ["celery.exceptions", "Reject", ["no", true]]],
    ["EncodeError", new EncodeError("no"), ["kombu.exceptions", "EncodeError", ["no"]]],
    ["DecodeError", new DecodeError("no"), ["kombu.exceptions", "DecodeError", ["no"]]],
    ["OperationalError", new OperationalError("no"), ["kombu.exceptions", "OperationalError", ["no"]]],
    ["a text", "no", ["builtins", "Exception", ["no"]]],
    ["null", null, ["builtins", "Exception", [null]]],
    ["undefined", undefined, ["builtins", "Exception", []]],
    ["an object", { code: 5 }, ["builtins", "Exception", [{ code: 5 }]]],
    ["fields of an exception", { type: "E", module: "m.n", args: [1] }, ["m.n", "E", [1]]],
    [
      "fields, but not a name",
      { type: "E()", module: "m", args: [] },
      ["builtins", "Exception", [{ type: "E()", module: "m", args: [] }]],
    ],
    [
      "fields, but no args",
      { type: "E", module: "m" },
      ["builtins", "Exception", [{ type: "E", module: "m" }]],
    ],
  ])("%s", (_name, error, expected) => {
    expect(identity(error)).toEqual(expected);
  });

  test("names where Python keeps them", () => {
    expect(identity(new AlreadyRegistered("a")).slice(0, 2)).toEqual([
      "celery.exceptions",
      "AlreadyRegistered",
    ]);
    expect(identity(new QueueNotFound("a", [])).slice(0, 2)).toEqual(["celery.exceptions", "QueueNotFound"]);
  });

  test("an error thrown again keeps its class, its module, its arguments and its traceback", () => {
    const remote = errorFrom({
      type: "OverdrawnError",
      module: "bank",
      args: ["no", 5],
      traceback: "Traceback …\nbank.OverdrawnError: no\n",
    });
    expect(identity(remote)).toEqual(["bank", "OverdrawnError", ["no", 5]]);
    const { traceback } = exceptionInfo(remote, "shop");
    expect(traceback).toContain(
      "bank.OverdrawnError: no\n\nThe exception above was raised in a worker, and again here:\n\nTraceback",
    );
    expect(traceback).toMatch(/bank\.OverdrawnError: \('no', 5\)\n$/);
    const revoked = new TaskRevokedError({
      type: "TaskRevokedError",
      module: "celery.exceptions",
      args: ["expired"],
      traceback: null,
    });
    expect(identity(revoked)).toEqual(["celery.exceptions", "TaskRevokedError", ["expired"]]);
  });

  test("arguments that cannot travel are shown as Python would", () => {
    const { args } = exceptionInfo(
      { type: "E", module: "m", args: [new Map(), undefined, new Date(0), [1]] },
      "shop",
    );
    expect(args).toEqual(["{}", null, new Date(0), [1]]);
    expect(() => stringifyJson(args)).not.toThrow();
  });

  test("an error that throws when it is looked at is an error all the same", () => {
    const hostile = new Proxy(
      {},
      {
        get: () => {
          throw new Error("gotcha");
        },
      },
    );
    expect(exceptionInfo(hostile, "shop")).toEqual({
      type: "Exception",
      module: "builtins",
      args: ["an error that cannot be read"],
      traceback: null,
    });
  });
});

describe("the traceback", () => {
  const withStack = (message: string, lines: readonly string[]): Error => {
    const error = new RangeError(message);
    error.stack = `RangeError: ${message}\n${lines.join("\n")}`;
    return error;
  };

  test("has Python's form: oldest call first, the error last", () => {
    const error = withStack("no\n    at odds with itself", [
      "    at add (file:///app/tasks.ts:10:7)",
      "    at async Object.run (/app/worker.ts:20:3)",
      "    at /app/bundle.js:1:4711",
      "    at new Foo (/app/foo.ts:1:1)",
      "    at Promise.all (index 0)",
      "    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)",
    ]);
    expect(exceptionInfo(error, "shop").traceback).toBe(
      [
        "Traceback (most recent call last):",
        "  Promise.all (index 0)",
        '  File "/app/foo.ts", line 1, in new Foo',
        '  File "/app/bundle.js", line 1, in <anonymous> (column 4711)',
        '  File "/app/worker.ts", line 20, in Object.run',
        '  File "/app/tasks.ts", line 10, in add',
        "  odds with itself",
        "ValueError: no",
        "    at odds with itself",
        "",
      ].join("\n"),
    );
  });

  test("ends with the module of a class that is not built in", () => {
    expect(exceptionInfo(new PaymentError("no"), "shop.tasks").traceback).toMatch(
      /\nshop\.tasks\.PaymentError: no\n$/,
    );
    expect(exceptionInfo(new PaymentError(), "shop.tasks").traceback).toMatch(
      /\nshop\.tasks\.PaymentError\n$/,
    );
    const odd = Object.assign(new Error("x"), { type: "E", module: "m", args: [5] });
    expect(exceptionInfo(odd, "shop").traceback).toMatch(/\nm\.E: 5\n$/);
  });

  test("shows causes before what they caused, and ends in a circle of them", () => {
    const root = new TypeError("root");
    const middle = new Error("middle", { cause: root });
    const { traceback } = exceptionInfo(new RangeError("top", { cause: middle }), "shop");
    const link = "The above exception was the direct cause of the following exception:";
    expect(traceback?.split(link)).toHaveLength(3);
    expect(traceback).toMatch(/TypeError: root\n[^]*Error: middle\n[^]*ValueError: top\n$/);
    expect(exceptionInfo(new Error("top", { cause: "a text" }), "shop").traceback).toMatch(
      /^'a text'\n\nThe above/,
    );
    Object.assign(root, { cause: middle });
    expect(exceptionInfo(middle, "shop").traceback?.split(link)).toHaveLength(2);
    let chain = new Error("0");
    for (let n = 1; n < 50; n++) chain = new Error(`${n}`, { cause: chain });
    expect(exceptionInfo(chain, "shop").traceback?.split(link).length).toBeLessThan(12);
    const bare = Object.assign(new Error("bare"), { name: 5, stack: undefined });
    expect(exceptionInfo(new Error("top", { cause: bare }), "shop").traceback).toContain(
      "Error: bare\n\nThe above",
    );
  });

  test("is bounded, and missing where there is no stack", () => {
    const long = withStack(
      "x",
      Array.from({ length: 5000 }, (_, n) => `    at f${n} (/app/${"y".repeat(2000)}.ts:1:1)`),
    );
    expect(exceptionInfo(long, "shop").traceback?.length).toBeLessThan(33_000);
    expect(exceptionInfo("text", "shop").traceback).toBeNull();
    expect(exceptionInfo(Object.assign(new Error("x"), { stack: undefined }), "shop").traceback).toBeNull();
  });
});

describe("decodeException", () => {
  test("reads what Python's workers stored, and encodeException writes it", () => {
    let count = 0;
    for (const entry of [...vectorEntries("execution"), ...vectorEntries("extra")]) {
      for (const stored of metasOf(entry)) {
        const { status, result, traceback } = decodeMeta(stored, { accept: ["json"] });
        if (status !== "FAILURE" && status !== "RETRY" && status !== "REVOKED") continue;
        const info = decodeException(result, traceback);
        expect(encodeException(info)).toEqual(result);
        expect(info.traceback).toBe(traceback);
        count++;
      }
    }
    expect(count).toBeGreaterThan(20);
  });

  const TRACE = "Traceback";
  test.each<[unknown, Omit<ExceptionInfo, "traceback">]>([
    [
      { exc_type: "E", exc_message: "one text", exc_module: "m" },
      { type: "E", module: "m", args: ["one text"] },
    ],
    [
      { exc_type: "E", exc_message: null },
      { type: "E", module: "celery.exceptions", args: [] },
    ],
    [
      { exc_type: "E", exc_message: { a: 1 }, exc_module: null },
      { type: "E", module: "celery.exceptions", args: [{ a: 1 }] },
    ],
    [{ exc_type: 5 }, { type: "Exception", module: "builtins", args: [{ exc_type: 5 }] }],
    [{}, { type: "Exception", module: "builtins", args: [{}] }],
    ["text", { type: "Exception", module: "builtins", args: ["text"] }],
    [[1], { type: "Exception", module: "builtins", args: [[1]] }],
    [null, { type: "Exception", module: "builtins", args: [] }],
  ])("%j", (result, expected) => {
    expect(decodeException(result, TRACE)).toEqual({ ...expected, traceback: TRACE });
  });
});

describe("errorFrom", () => {
  test.each([
    ["celery.exceptions", "ChordError", ChordError],
    ["celery.exceptions", "MaxRetriesExceededError", MaxRetriesExceededError],
    ["celery.exceptions", "TaskRevokedError", TaskRevokedError],
    ["celery.exceptions", "WorkerLostError", WorkerLostError],
    ["billiard.exceptions", "SoftTimeLimitExceeded", SoftTimeLimitExceeded],
    ["billiard.exceptions", "TimeLimitExceeded", TimeLimitExceeded],
    ["billiard.exceptions", "WorkerLostError", WorkerLostError],
    ["builtins", "ValueError", RemoteError],
    ["elsewhere", "ChordError", RemoteError],
    ["celery.exceptions", "constructor", RemoteError],
    ["__proto__", "constructor", RemoteError],
  ])("%s.%s", (module, type, Class) => {
    const error = errorFrom({ type, module, args: ["no", 5n], traceback: "T" });
    expect(error.constructor).toBe(Class);
    expect(error).toMatchObject({
      type,
      module,
      args: ["no", 5n],
      remoteTraceback: "T",
      message: `${type}: no, "5"`,
    });
  });
});
