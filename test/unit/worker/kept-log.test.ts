/** The log of a task with `storeLogs`. */
import { afterEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/base/logger.ts";
import { decodeLogLines, encodeLogLine, LONGEST_LOG_LINE } from "../../../src/protocol/log-lines.ts";
import { KeptLog } from "../../../src/worker/kept-log.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { HandBackend, HandTransport, turns, WorkerRig } from "./support.ts";

describe("lines", () => {
  test("come back as they were; what is no JSON as text, an error as its stack", () => {
    const cyclic: Record<string, unknown> = {};
    cyclic["self"] = cyclic;
    const fields = { n: 1, at: new Date(5), big: 2n ** 70n, err: new TypeError("no"), cyclic, fn: () => 1 };
    const [line] = decodeLogLines(encodeLogLine({ timeMs: 7, level: "warn", message: "a\nb", fields }));
    expect(line).toMatchObject({ time: new Date(7), level: "warn", message: "a\nb" });
    expect(line?.fields).toMatchObject({ n: 1, at: new Date(5), big: 2n ** 70n });
    expect(line?.fields["err"]).toContain("TypeError: no");
    expect(line?.fields["cyclic"]).toEqual(expect.any(String));
  });

  test("are bounded, and what is none is left out", () => {
    const long = encodeLogLine({
      timeMs: 1,
      level: "info",
      message: "x".repeat(1e6),
      fields: { y: "y".repeat(1e6) },
    });
    expect(long.length).toBeLessThan(LONGEST_LOG_LINE);
    expect(decodeLogLines(`${long}\n{}\n[1]\n[1,"loud","m",{}]\nnonsense\n`)).toHaveLength(1);
  });
});

describe("what is kept", () => {
  const make = (): { log: KeptLog; clock: VirtualClock; backend: HandBackend } => {
    const backend = new HandBackend(new HandTransport({}), { here: true, enabled: true });
    const clock = new VirtualClock();
    return { log: new KeptLog({ id: "t", backend, clock, logger: silentLogger }), clock, backend };
  };
  const linesOf = (backend: HandBackend): readonly string[] => (backend.logs.get("t") ?? "").split("\n");

  test("is stored each second while there is something new, and at the end", async () => {
    const { log, clock, backend } = make();
    log.add("a");
    clock.advance(999);
    await turns();
    expect(backend.logs.size).toBe(0);
    clock.advance(1);
    await turns();
    expect(linesOf(backend)).toEqual(["a"]);
    expect(clock.timers).toBe(0);
    log.add("b");
    await log.end();
    expect(linesOf(backend)).toEqual(["a", "b"]);
    expect(clock.timers).toBe(0);
  });

  test("is the last 1,000 lines, and 256 KiB", async () => {
    const { log, backend } = make();
    for (let i = 0; i < 1_500; i += 1) log.add(`${i}`);
    await log.end();
    expect(linesOf(backend)).toEqual(Array.from({ length: 1_000 }, (_, i) => `${500 + i}`));
    for (let i = 0; i < 100; i += 1) log.add(`${i}`.padEnd(8_000, "x"));
    await log.end();
    expect(backend.logs.get("t")?.length).toBeLessThan(256 * 1024);
    expect(linesOf(backend).at(-1)).toMatch(/^99x/);
  });

  test("that cannot be stored ends nothing", async () => {
    const { log, backend } = make();
    backend.onStore = () => Promise.reject(new Error("full"));
    log.add("a");
    await expect(log.end()).resolves.toBeUndefined();
  });
});

describe("a task", () => {
  let rig: WorkerRig;
  afterEach(() => rig?.stop());

  test("has its log stored before its result; one without storeLogs stores none", async () => {
    rig = new WorkerRig();
    rig.app.task("told", { bind: true, storeLogs: true }, (task) => {
      task.log.info({ n: 1 }, "one");
      task.log.child({ part: 2 }).warn({}, "two");
      task.log.debug({}, "not kept");
      return 1;
    });
    rig.app.task("silent", { bind: true }, (task) => {
      task.log.info({}, "one");
      return 1;
    });
    await rig.start();
    await rig.run({ task: "silent", id: "s" });
    await rig.run({ task: "told", id: "t" });
    expect([...rig.backend.logs.keys()]).toEqual(["t"]);
    expect(decodeLogLines(rig.backend.logs.get("t") ?? "")).toMatchObject([
      { level: "info", message: "one", fields: { n: 1 } },
      { level: "warn", message: "two", fields: { part: 2 } },
    ]);
    const stored = rig.journal.filter((line) => / t( |$)/.test(line));
    expect(stored.indexOf("log t")).toBe(0);
    expect(stored.at(-1)).toMatch(/SUCCESS/);
  });

  test("ends though its log cannot be stored", async () => {
    rig = new WorkerRig();
    rig.app.task("told", { bind: true, storeLogs: true }, (task) => {
      task.log.info({}, "one");
      return 1;
    });
    rig.backend.onStore = () => Promise.reject(new Error("full"));
    await rig.start();
    await rig.run({ task: "told" });
    expect(rig.meta()).toMatchObject({ status: "SUCCESS" });
    expect(rig.logger.of("warn")).toEqual(["the log of a task could not be stored"]);
  });
});
