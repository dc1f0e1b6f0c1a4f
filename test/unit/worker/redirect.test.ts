import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Logger } from "../../../src/base/logger.ts";
import { currentTask, type Execution, runExecution } from "../../../src/task/current.ts";
import { type PrintLevel, redirectStdouts } from "../../../src/worker/redirect.ts";

let lines: string[];
let passed: string[];
let end: () => void;

/** Notes its lines; `nested` is called for each of them. */
function noting(name: string, nested: () => void = () => {}): Logger {
  const at = (level: string) => (_fields: object, message: string) => {
    lines.push(`${name} ${level} ${message}`);
    nested();
  };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: () => noting(name),
  };
}
const start = (level: PrintLevel = "WARNING", nested?: () => void): void => {
  end = redirectStdouts(noting("worker", nested), level);
};
const inTask = <T>(name: string, fn: () => T): T =>
  runExecution({ context: { log: noting(name) } } as unknown as Execution, fn);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

beforeEach(() => {
  lines = [];
  passed = [];
  // What the stream has of its class is there again when this is deleted.
  process.stdout.write = (text: string | Uint8Array) => passed.push(text.toString()) > 0;
});
afterEach(() => {
  end();
  Reflect.deleteProperty(process.stdout, "write");
});

describe("what is printed", () => {
  test("is a line of the log each, of both streams, without colours, and nothing is written", () => {
    start();
    process.stdout.write("one\n\u001b[31mtwo\u001b[39m \r\n\n");
    process.stderr.write(Buffer.from("three – ü\n"));
    process.stdout.write("666f7572\n", "hex");
    process.stdout.write("0a", "hex");
    expect(lines).toEqual([
      "worker warn one",
      "worker warn two",
      "worker warn three – ü",
      "worker warn four",
    ]);
    expect(passed).toEqual([]);
  });

  test.each([
    ["DEBUG", "debug"],
    ["INFO", "info"],
    ["WARNING", "warn"],
    ["ERROR", "error"],
    ["CRITICAL", "error"],
  ] as const)("is logged at %s", (level, method) => {
    start(level);
    process.stdout.write("x\n");
    expect(lines).toEqual([`worker ${method} x`]);
  });

  test("bears its task, also after an await, and parts of two tasks do not mix", async () => {
    start();
    const one = inTask("t1", async () => {
      process.stdout.write("a");
      await turn();
      process.stdout.write("b\n");
      return currentTask();
    });
    inTask("t2", () => process.stdout.write("c"));
    process.stdout.write("d\n");
    await one;
    expect(lines).toEqual(["t1 warn a", "t2 warn c", "worker warn d", "t1 warn b"]);
  });

  test("in parts is one line while the event loop does not turn, and what has no end is not lost", async () => {
    start();
    process.stdout.write("half ");
    process.stdout.write("done");
    expect(lines).toEqual([]);
    await turn();
    expect(lines).toEqual(["worker warn half done"]);
    process.stdout.write("last");
    end();
    expect(lines).toEqual(["worker warn half done", "worker warn last"]);
    process.stdout.write("free\n");
    expect(passed).toEqual(["free\n"]);
  });

  test("by the log itself is written: no recursion", () => {
    start("INFO", () => process.stdout.write("from the log\n"));
    process.stdout.write("x\n");
    expect([lines, passed]).toEqual([["worker info x"], ["from the log\n"]]);
  });

  test("without end does not fill memory", () => {
    start();
    for (let i = 0; i < 10; i += 1) process.stdout.write("x".repeat(10_000));
    expect(lines.map((line) => line.length)).toEqual([70_000 + "worker warn ".length]);
  });

  test("calls back, as a stream does", async () => {
    start();
    await new Promise<void>((resolve) => process.stdout.write("x", () => resolve()));
    await new Promise<void>((resolve) => process.stdout.write("y\n", "utf8", () => resolve()));
    expect(lines).toEqual(["worker warn xy"]);
  });
});
