/** The pool of children with children that the test plays: what a real one does only now and then. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Logger, silentLogger } from "../../../src/base/logger.ts";
import type { ChildLink, Exit } from "../../../src/pool/child.ts";
import { ChildPool, type ChildPoolOptions } from "../../../src/pool/child-pool.ts";
import { readInChild, write, writeEnd } from "../../../src/pool/messages.ts";
import type { Job, Outcome } from "../../../src/protocol/job.ts";
import { seed } from "../../support/seed.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const SUCCESS: Outcome = { kind: "success", value: 1, runtimeMs: 0, children: [] };
const PORT = { onStart: () => {}, updateState: async () => {}, sendEvent: () => {} };
const job = (id: string, limits: Partial<Job> = {}): Job => ({
  id,
  task: "t.x",
  args: [],
  kwargs: {},
  request: { id },
  softTimeLimitMs: null,
  timeLimitMs: null,
  ...limits,
});

/** What a child does at each of its moments. */
interface Manners {
  readonly start: "ready" | "fails" | "dies" | "hangs";
  readonly job: "ends" | "dies before" | "dies within" | "hangs before" | "hangs within";
}
const GOOD: Manners = { start: "ready", job: "ends" };

class PlayedChild implements ChildLink {
  onMessage: ((text: unknown) => void) | null = null;
  onExit: ((exit: Exit) => void) | null = null;
  readonly heard: string[] = [];
  readonly pid: number;
  #hung = false;
  #gone = false;
  readonly #manners: Manners;
  readonly #onEnd: (() => void) | null;

  constructor(pid: number, manners: Manners, onEnd: (() => void) | null = null) {
    this.pid = pid;
    this.#manners = manners;
    this.#onEnd = onEnd;
  }

  get gone(): boolean {
    return this.#gone;
  }

  send(text: string): void {
    const kind = readInChild(text)?.[0] ?? "?";
    this.heard.push(kind);
    queueMicrotask(() => this.#react(kind));
  }

  kill(signal: NodeJS.Signals): void {
    this.heard.push(signal);
    queueMicrotask(() => this.exit({ code: null, signal, error: null }));
  }

  say(text: string): void {
    if (!this.#gone) this.onMessage?.(text);
  }

  exit(exit: Exit): void {
    if (this.#gone) return;
    this.#gone = true;
    this.onExit?.(exit);
  }

  #react(kind: string): void {
    if (this.#hung || this.#gone) return;
    if (kind === "init") this.#start();
    else if (kind === "job") this.#run();
    else if (kind === "ping") this.say(write(["pong"]));
    else if (kind === "stop") this.exit({ code: 0, signal: null, error: null });
  }

  #start(): void {
    const { start } = this.#manners;
    if (start === "ready") this.say(write(["ready"]));
    else if (start === "fails") this.say(write(["failed", "no such module"]));
    else if (start === "dies") this.exit({ code: 1, signal: null, error: null });
    else this.#hung = true;
  }

  #run(): void {
    const { job: how } = this.#manners;
    if (how === "dies before") return this.exit({ code: 9, signal: null, error: null });
    if (how === "hangs before") {
      this.#hung = true;
      return;
    }
    this.say(write(["start"]));
    if (how === "dies within") return this.exit({ code: 9, signal: null, error: null });
    if (how === "hangs within") {
      this.#hung = true;
      return;
    }
    this.say(writeEnd(SUCCESS, 1000, "t"));
    this.#onEnd?.();
  }
}

interface Rig {
  readonly pool: ChildPool;
  readonly clock: VirtualClock;
  readonly children: PlayedChild[];
  readonly lines: string[];
}

function rig(manners: (nth: number) => Manners, options: Partial<ChildPoolOptions> = {}): Rig {
  const clock = new VirtualClock();
  const children: PlayedChild[] = [];
  const lines: string[] = [];
  const note = (_fields: object, message: string): void => void lines.push(message);
  const logger: Logger = { ...silentLogger, error: note, warn: note };
  const pool = new ChildPool({
    name: "played",
    size: 2,
    init: {},
    clock,
    logger,
    maxTasksPerChild: null,
    maxMemoryPerChildKib: null,
    timeouts: [3, 4],
    startTimeoutMs: 60_000,
    startsAtOnce: 2,
    open: () => {
      const child = new PlayedChild(1000 + children.length, manners(children.length));
      children.push(child);
      return child;
    },
    ...options,
  });
  return { pool, clock, children, lines };
}

async function turns(n = 5): Promise<void> {
  for (let i = 0; i < n; i += 1) await new Promise(setImmediate);
}

async function started(one: Rig): Promise<Rig> {
  await one.pool.start(new AbortController().signal);
  await turns();
  return one;
}

/** Time goes by in small steps, as it does. */
async function pass({ clock }: Rig, ms: number, stepMs = 1000): Promise<void> {
  for (let gone = 0; gone < ms; gone += stepMs) {
    clock.advance(stepMs);
    await turns(2);
  }
}

describe("children that do not come up", () => {
  test("at the start of the pool are its failure, with the reason", async () => {
    const { pool } = rig(() => ({ ...GOOD, start: "fails" }));
    await expect(pool.start(new AbortController().signal)).rejects.toThrow(/no such module/);
    await pool.stop({ graceMs: 0 });
    expect(pool.info().processes).toEqual([]);
  });

  test("later are tried again in growing pauses, and told of once", async () => {
    const one = await started(rig((nth) => (nth < 2 ? GOOD : { ...GOOD, start: "fails" })));
    const { pool, children, lines } = one;
    for (const child of children.slice()) child.exit({ code: null, signal: "SIGKILL", error: null });
    await pass(one, 300_000);
    // Every second would be 300 of them.
    expect(children.length).toBeLessThan(60);
    expect(children.length).toBeGreaterThan(8);
    expect(lines).toEqual(["a child of the pool did not come up: trying again"]);
    expect(pool.free).toBe(0);
  });

  test("in time are killed and replaced", async () => {
    const one = rig((nth) => (nth === 0 ? { ...GOOD, start: "hangs" } : GOOD));
    await started(one);
    expect(one.pool.free).toBe(1);
    await pass(one, 62_000);
    expect(one.children[0]?.heard).toEqual(["init", "SIGKILL"]);
    expect(one.pool.free).toBe(2);
  });

  test("in the time that the setting gives them are killed", async () => {
    const one = rig((nth) => (nth === 0 ? { ...GOOD, start: "hangs" } : GOOD), { startTimeoutMs: 5000 });
    await started(one);
    await pass(one, 4000);
    expect(one.children[0]?.heard).toEqual(["init"]);
    await pass(one, 2000);
    expect(one.children[0]?.heard).toEqual(["init", "SIGKILL"]);
  });

  test("because they die as soon as they are up count as well", async () => {
    const one = await started(rig(() => GOOD));
    for (let n = 0; n < 200; n += 1) {
      for (const child of one.children) child.exit({ code: 1, signal: null, error: null });
      await pass(one, 100, 100);
    }
    expect(one.children.length).toBeLessThan(40);
  });
});

describe("children that hang or die", () => {
  test("an idle one is asked now and then, and replaced when it does not answer", async () => {
    const one = await started(rig(() => GOOD));
    await pass(one, 25_000);
    expect(one.children[0]?.heard).toEqual(["init", "ping", "ping"]);
    expect(one.children).toHaveLength(2);
    one.children[0]?.say("not ours");
    (one.children[0] as PlayedChild).send = () => {};
    await pass(one, 30_000);
    expect([one.children.length, one.pool.free]).toEqual([3, 2]);
    expect(one.lines).toEqual(["a child of the pool does not answer: it is killed and replaced"]);
  });

  test("a job whose child dies before it began goes to the next one, and to no third", async () => {
    const second = await started(rig((nth) => (nth === 1 ? { ...GOOD, job: "dies before" } : GOOD)));
    expect(await second.pool.submit(job("1"), PORT).outcome).toEqual(SUCCESS);
    const never = await started(rig(() => ({ ...GOOD, job: "dies before" })));
    expect(await never.pool.submit(job("1"), PORT).outcome).toEqual({
      kind: "lost",
      exitCode: 9,
      signal: null,
    });
    await turns();
    expect([never.pool.busy, never.pool.free]).toEqual([0, 2]);
  });

  test("a job that had begun is lost", async () => {
    const { pool } = await started(rig((nth) => (nth === 1 ? { ...GOOD, job: "dies within" } : GOOD)));
    const running = pool.submit(job("1"), PORT);
    expect(await running.outcome).toEqual({ kind: "lost", exitCode: 9, signal: null });
    expect(pool.busy).toBe(0);
  });

  test("a signal that does not end a child is followed by one that does", async () => {
    const one = await started(rig(() => ({ ...GOOD, job: "hangs within" })));
    const running = one.pool.submit(job("1"), PORT);
    await turns();
    const child = one.children.find(({ heard }) => heard.includes("job")) as PlayedChild;
    const kill = child.kill.bind(child);
    child.kill = (signal) => (signal === "SIGKILL" ? kill(signal) : void child.heard.push(signal));
    expect(running.terminate("SIGTERM", null)).toBe(true);
    await pass(one, 7000);
    expect(child.heard).toEqual(["init", "job", "SIGTERM", "SIGKILL"]);
    expect(await running.outcome).toEqual({ kind: "terminated", signal: "SIGTERM" });
  });

  test("a job that waits for a child can be ended by its limit and by terminate", async () => {
    const one = rig((nth) => (nth < 2 ? { ...GOOD, job: "dies before" } : { ...GOOD, start: "hangs" }));
    await started(one);
    const limited = one.pool.submit(job("1", { timeLimitMs: 50 }), PORT);
    const ended = one.pool.submit(job("2"), PORT);
    await turns();
    expect([one.pool.busy, limited.pid]).toEqual([2, null]);
    one.clock.advance(50);
    ended.terminate("SIGTERM", null);
    expect(await limited.outcome).toEqual({ kind: "timed-out", limitMs: 50 });
    expect(await ended.outcome).toEqual({ kind: "terminated", signal: "SIGTERM" });
    expect(one.pool.busy).toBe(0);
  });
});

describe("children that have done their share", () => {
  test("are replaced after so many jobs", async () => {
    const one = await started(rig(() => GOOD, { maxTasksPerChild: 2, size: 1 }));
    for (let n = 0; n < 6; n += 1) {
      expect(await one.pool.submit(job(String(n)), PORT).outcome).toEqual(SUCCESS);
      await turns();
    }
    expect(one.children.map(({ heard }) => heard.join(" "))).toEqual([
      "init job job stop",
      "init job job stop",
      "init job job stop",
      "init",
    ]);
    expect(one.pool.info()).toMatchObject({ "max-tasks-per-child": 2, timeouts: [3, 4] });
  });

  test("or when they use too much memory", async () => {
    const one = await started(rig(() => GOOD, { maxMemoryPerChildKib: 999, size: 1 }));
    await one.pool.submit(job("1"), PORT).outcome;
    await turns();
    expect(one.children[0]?.gone).toBe(true);
    expect(one.pool.free).toBe(1);
  });
});

/** Any order of misfortunes: no job without an outcome, no slot lost. */
test("no slot is leaked, whatever children do", async () => {
  const manners = fc.record({
    start: fc.constantFrom("ready", "ready", "ready", "fails", "dies", "hangs"),
    job: fc.constantFrom("ends", "ends", "dies before", "dies within", "hangs before", "hangs within"),
  }) as fc.Arbitrary<Manners>;
  const step = fc.oneof(
    fc.record({ do: fc.constant("submit"), limit: fc.option(fc.integer({ min: 1, max: 9000 })) }),
    fc.record({ do: fc.constant("pass"), ms: fc.integer({ min: 1, max: 20_000 }) }),
    fc.record({ do: fc.constant("kill"), nth: fc.nat(20) }),
    fc.record({ do: fc.constant("terminate"), nth: fc.nat(20) }),
    fc.record({ do: fc.constant("resize"), size: fc.integer({ min: 1, max: 4 }) }),
    fc.constant({ do: "restart" }),
  ) as fc.Arbitrary<{ do: string; limit?: number | null; ms?: number; nth?: number; size?: number }>;
  await fc.assert(
    fc.asyncProperty(
      fc.array(manners, { maxLength: 12 }),
      fc.array(step, { maxLength: 25 }),
      async (some, steps) => {
        // The first one comes up, and after the misfortunes all do.
        const one = await started(rig((nth) => (nth === 0 ? GOOD : (some[nth - 1] ?? GOOD))));
        const { pool, clock, children } = one;
        const running: ReturnType<ChildPool["submit"]>[] = [];
        const ends = new Map<number, number>();
        for (const { do: what, limit, ms, nth, size } of steps) {
          if (what === "submit" && pool.free > 0) {
            const number = running.length;
            const submitted = pool.submit(job(String(number), { timeLimitMs: limit ?? null }), PORT);
            running.push(submitted);
            void Promise.resolve(submitted.outcome).then(() => ends.set(number, (ends.get(number) ?? 0) + 1));
          } else if (what === "pass") clock.advance(ms as number);
          else if (what === "kill") children[nth as number]?.kill("SIGKILL");
          else if (what === "terminate") running[nth as number]?.terminate("SIGTERM", null);
          else if (what === "resize") await pool.resize(size as number);
          else if (what === "restart") await pool.restart();
          await turns(1);
          expect(pool.free).toBeLessThanOrEqual(pool.size);
        }
        // Those that hang within their function are ended by whoever wants to.
        await pass(one, 60_000, 5000);
        for (const each of running) each.terminate("SIGTERM", null);
        await pass(one, 1_500_000, 5000);
        expect([pool.busy, pool.free]).toEqual([0, pool.size]);
        expect([...ends.values()]).toEqual(running.map(() => 1));
        await pool.stop({ graceMs: 0 });
        expect(children.filter(({ gone }) => !gone)).toEqual([]);
      },
    ),
    { seed, numRuns: 60 },
  );
});
