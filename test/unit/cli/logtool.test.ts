/** Logs of Python's worker and of ours, read back. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createWorkerLogger } from "../../../src/worker/index.ts";
import { LINES } from "../../../src/worker/task-log.ts";
import { ran } from "./stand-in.ts";

const dir = mkdtempSync(join(tmpdir(), "petiole-logtool-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** As Celery 5.6.3 writes them; `test/interop/logtool.test.ts` reads what it wrote. */
const PYTHON = `-------------- celery@host v5.6.3 (recovery)
[2026-11-21 01:05:31,640: INFO/MainProcess] celery@host ready.
[2026-11-21 01:05:32,001: INFO/MainProcess] Task shop.add[a1] received
[2026-11-21 01:05:32,002: INFO/MainProcess] Task shop.add[a2] received
[2026-11-21 01:05:32,003: WARNING/ForkPoolWorker-1] Task shop.fake[zz] of a print
[2026-11-21 01:05:32,010: INFO/ForkPoolWorker-1] Task shop.add[a1] succeeded in 0.0012s: 5
[2026-11-21 01:05:32,011: INFO/ForkPoolWorker-1] Task shop.add[a2] retry: Retry in 1s: ValueError('no')
[2026-11-21 01:05:33,002: INFO/MainProcess] Task shop.add[a2] received
[2026-11-21 01:05:33,010: ERROR/ForkPoolWorker-1] Task shop.add[a2] raised unexpected: ValueError('no')
Traceback (most recent call last):
  File "tasks.py", line 3, in add
ValueError: no
[2026-11-21 01:05:34,000: INFO/MainProcess] Task shop.slow[a3] received
[2026-11-21 01:05:34,001: INFO/MainProcess] Task shop.slow[a4] received
[2026-11-21 01:05:35,000: ERROR/MainProcess] Hard time limit (1.0s) exceeded for shop.slow[a4]
[2026-11-21 01:05:35,001: INFO/MainProcess] Task shop.slow[a5] received
[2026-11-21 01:05:35,002: INFO/MainProcess] Discarding revoked task: shop.slow[a5]
`;

/** The same from ours, in both formats. */
async function ours(format: "text" | "json"): Promise<string> {
  let text = "";
  const logger = await createWorkerLogger({
    level: "INFO",
    format,
    write: (line) => {
      text += line;
    },
  });
  const [add, slow] = ["shop.add", "shop.slow"];
  logger.info({ queue: "celery" }, "ready");
  logger.info({ task: add, id: "a1" }, LINES.received);
  logger.info({ task: add, id: "a2" }, LINES.received);
  logger.info({ task: add, id: "a1", runtime: 0.001, result: "5" }, LINES.succeeded);
  logger.info({ task: add, id: "a2", reason: "Retry in 1s" }, LINES.retried);
  logger.info({ task: add, id: "a2" }, LINES.received);
  const traceback = "Error: no\n    at add (tasks.ts:3:1)";
  logger.error({ task: add, id: "a2", exception: "Error('no')", traceback }, LINES.failed);
  logger.info({ task: slow, id: "a3" }, LINES.received);
  logger.info({ task: slow, id: "a4" }, LINES.received);
  logger.error({ task: slow, id: "a4" }, LINES.lost);
  logger.info({ task: slow, id: "a5" }, LINES.received);
  logger.info({ task: slow, id: "a5" }, LINES.revoked);
  return text;
}

async function logtool(action: string, text: string): Promise<string> {
  const file = join(dir, "worker.log");
  writeFileSync(file, text);
  const { code, out, err } = await ran(["logtool", action, file]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out;
}

describe.each([
  ["Python's text", async () => PYTHON],
  ["our text", () => ours("text")],
  ["our JSON", () => ours("json")],
])("%s", (_, text) => {
  test("stats counts each id once, and how it ended", async () => {
    expect(await logtool("stats", await text())).toBe(
      "Report\n======\nTask total: 5\nTask errors: 3\nTask success: 1\nTask completed: 4\nTask retries: 1\nTasks\n=====\nshop.slow: 3\nshop.add: 2\n",
    );
  });

  test("incomplete has what did not end, errors what ended badly", async () => {
    expect(await logtool("incomplete", await text())).toBe("Did not complete: a3 (shop.slow)\n");
    const errors = (await logtool("errors", await text())).trimEnd().split("\n");
    expect(errors).toEqual([
      expect.stringMatching(/^\[.*ERROR.*\] Task shop\.add\[a2\] raised unexpected: \w*Error\('no'\)$/),
      expect.stringContaining("shop.slow[a4]"),
    ]);
  });

  test("traces has the traceback under its line", async () => {
    expect(await logtool("traces", await text())).toMatch(
      /^\[.*\] Task shop\.add\[a2\] raised unexpected.*\n(Traceback|Error: no)[\s\S]*(add|no)[\s\S]*\n$/,
    );
  });

  test("debug has the lines of no task", async () => {
    const debug = await logtool("debug", await text());
    expect(debug).toContain("ready");
    expect(debug).not.toMatch(/shop\.(add|slow)/);
  });
});

test("a line that was written late does not bring an ended task back", async () => {
  const head = "[2026-11-21 01:05:31,640: INFO/MainProcess] Task t[1] ";
  expect(await logtool("incomplete", `${head}succeeded in 1s: 1\n${head}received\n`)).toBe("");
});

test("what is no log is no mistake; a file that is not there is", async () => {
  expect(await logtool("stats", '{"a": 1}\n{not json\n\n\u0000')).toContain("Task total: 0");
  const { code, err } = await ran(["logtool", "stats", join(dir, "gone.log")]);
  expect([code, err]).toEqual([
    64,
    expect.stringMatching(/gone\.log cannot be read: ENOENT.*\[PET_USAGE\]\n$/),
  ]);
  const word = await ran(["logtool", "stat", join(dir, "worker.log")]);
  expect([word.code, word.err]).toEqual([
    64,
    expect.stringContaining('did you mean "stats"? Say one of stats, traces'),
  ]);
});
