import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compileFormat } from "../../../src/worker/log-format.ts";
import {
  createWorkerLogger,
  type WorkerLogger,
  type WorkerLoggerOptions,
} from "../../../src/worker/logging.ts";
import { LINES } from "../../../src/worker/task-log.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

async function noting(options: WorkerLoggerOptions = {}): Promise<{ logger: WorkerLogger; lines: string[] }> {
  const lines: string[] = [];
  const clock = new VirtualClock(new Date(2026, 10, 21, 1, 5, 31, 640).getTime());
  const logger = await createWorkerLogger({
    level: "DEBUG",
    clock,
    write: (text) => void lines.push(text),
    ...options,
  });
  return { logger, lines };
}

const task = { task: "shop.add", id: "t-1" };

describe("as text", () => {
  test.each<[keyof typeof LINES, object, string]>([
    ["received", task, "Task shop.add[t-1] received"],
    ["succeeded", { ...task, runtime: 0.001, result: "5" }, "Task shop.add[t-1] succeeded in 0.001s: 5"],
    [
      "retried",
      { ...task, reason: "Retry in 3s: ValueError('x')" },
      "Task shop.add[t-1] retry: Retry in 3s: ValueError('x')",
    ],
    [
      "failed",
      { ...task, exception: "ValueError('x')", traceback: "Traceback:\n  File\nValueError: x\n" },
      "Task shop.add[t-1] raised unexpected: ValueError('x')\nTraceback:\n  File\nValueError: x",
    ],
    ["failed", { ...task, exception: "E()", traceback: null }, "Task shop.add[t-1] raised unexpected: E()"],
    ["failedAsExpected", { ...task, exception: "E()" }, "Task shop.add[t-1] raised expected: E()"],
    ["rejected", { ...task, reason: "no" }, "Task shop.add[t-1] rejected: no"],
    ["rejected", { ...task, reason: null }, "Task shop.add[t-1] rejected"],
    ["ignored", task, "Task shop.add[t-1] ignored"],
    ["revoked", task, "Discarding revoked task: shop.add[t-1]"],
    ["parked", { ...task, eta: "2026" }, "Task shop.add[t-1] waits for its ETA:[2026]"],
    ["returned", task, "Task shop.add[t-1] was not finished: its message goes back to the queue"],
  ])("%s is Celery's sentence", async (line, fields, sentence) => {
    const { logger, lines } = await noting({ logFormat: "%(message)s" });
    logger.info(fields, LINES[line]);
    expect(lines).toEqual([`${sentence}\n`]);
  });

  test("a line has Celery's form", async () => {
    const { logger, lines } = await noting();
    logger.warn({ queue: "q", count: 2 }, "something happened");
    expect(lines).toEqual([
      "[2026-11-21 01:05:31,640: WARNING/MainProcess] something happened queue=q count=2\n",
    ]);
  });

  test("a line of a task names it", async () => {
    const { logger, lines } = await noting();
    logger.child({ task_id: "t-1", task_name: "shop.add" }).info({ n: 1 }, "half done");
    expect(lines).toEqual(["[2026-11-21 01:05:31,640: INFO/MainProcess] shop.add[t-1]: half done n=1\n"]);
  });

  test("what a task says is never a sentence of the worker", async () => {
    const { logger, lines } = await noting({ logFormat: "%(message)s", taskLogFormat: "%(message)s" });
    logger.child({ task_id: "t-1", task_name: "shop.add" }).warn({}, LINES.succeeded);
    expect(lines).toEqual(["task succeeded\n"]);
  });

  test("the message has the colour of its level, where colours are wanted", async () => {
    const { logger, lines } = await noting({ logFormat: "%(levelname)s %(message)s", color: true });
    logger.debug({}, "a");
    logger.info({}, "b");
    logger.warn({}, "c");
    logger.error({}, "d");
    const esc = "\u001b";
    expect(lines).toEqual([
      `DEBUG ${esc}[34ma${esc}[39m\n`,
      "INFO b\n",
      `WARNING ${esc}[33mc${esc}[39m\n`,
      `ERROR ${esc}[31md${esc}[39m\n`,
    ]);
  });

  test("an error is shown with its stack", async () => {
    const { logger, lines } = await noting({ logFormat: "%(levelname)s %(message)s" });
    const err = new Error("broken");
    err.stack = "Error: broken\n    at here";
    logger.error({ err }, "it failed");
    expect(lines).toEqual(["ERROR it failed err=broken\nError: broken\n    at here\n"]);
  });

  test("names and results cannot forge a line", async () => {
    const { logger, lines } = await noting({ logFormat: "%(message)s" });
    logger.info({ task: "a\n[2026] INFO evil", id: "\u001b[31m\u2028\u009b" }, LINES.received);
    logger.child({ task_id: "x\ny", task_name: "n" }).info({}, "m\r");
    expect(lines[0]).toBe("Task a\\n[2026] INFO evil[\\u001b[31m\\u2028\\u009b] received\n");
    expect(lines[1]).toContain("n[x\\ny]: m\\r\n");
    expect(lines.every((line) => line.indexOf("\n") === line.length - 1)).toBe(true);
  });

  test("long values are cut", async () => {
    const { logger, lines } = await noting();
    logger.info({ value: "x".repeat(5000) }, "long");
    expect(lines[0]?.length).toBeLessThan(1200);
  });

  test("nothing is written below the level, and the level can be asked for", async () => {
    const { logger, lines } = await noting({ level: "WARNING" });
    logger.debug({}, "d");
    logger.info({}, "i");
    logger.child({ a: 1 }).info({}, "i");
    logger.warn({}, "w");
    expect(lines).toHaveLength(1);
    expect(["debug", "info", "warn", "error"].map((level) => logger.isLevelEnabled(level))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    const silent = await noting({ level: "CRITICAL" });
    silent.logger.error({}, "e");
    expect(silent.lines).toEqual([]);
  });

  test("a file is appended to", async () => {
    const dir = mkdtempSync(join(tmpdir(), "petiole-log-"));
    try {
      const file = join(dir, "worker.log");
      for (const text of ["one", "two"]) {
        const logger = await createWorkerLogger({ level: "INFO", file, logFormat: "%(message)s" });
        logger.info({}, text);
        logger.flush();
      }
      expect(readFileSync(file, "utf8")).toBe("one\ntwo\n");
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});

test("as JSON a line has the constant message and the fields", async () => {
  const { logger, lines } = await noting({ format: "json", level: "INFO" });
  logger.debug({}, "nothing");
  logger.info({ ...task, runtime: 1 }, LINES.succeeded);
  logger.child({ task_id: "t-1" }).warn({ n: 1 }, "mine");
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(first).toMatchObject({ level: 30, ...task, runtime: 1, msg: "task succeeded" });
  expect(second).toMatchObject({ level: 40, task_id: "t-1", n: 1, msg: "mine" });
  expect(logger.isLevelEnabled("debug")).toBe(false);
});

test("a level that does not exist is refused by name", async () => {
  await expect(createWorkerLogger({ level: "LOUD" as never })).rejects.toThrow(
    'log level "LOUD" is none of DEBUG, INFO',
  );
});

test("Python's formats are understood: widths, percent signs, unknown names", () => {
  const format = compileFormat("%(levelname)-8s|%(levelname)8s|%(process)d|%%|%(nope)s|%(created)s");
  const text = format({ level: "INFO", message: "", nowMs: 1500, fields: {} });
  expect(text).toBe(`INFO    |    INFO|${process.pid}|%|%(nope)s|1.5`);
});
