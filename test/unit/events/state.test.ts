import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventState, type EventStateOptions } from "../../../src/events/state.ts";
import type { AnyEvent } from "../../../src/protocol/events.ts";
import { seed } from "../../support/seed.ts";

let now = 1_000;
/** Hours west of UTC, as events have them. */
const here = Math.floor(new Date(now * 1000).getTimezoneOffset() / 60);

function make(options: EventStateOptions = {}): EventState {
  now = 1_000;
  return new EventState(options, () => now);
}

function event(type: string, fields: Partial<Record<string, unknown>> = {}): AnyEvent {
  return {
    type,
    hostname: "w@h",
    timestamp: now,
    clock: 1,
    pid: 7,
    utcoffset: here,
    local_received: now,
    ...(type.startsWith("task-") ? { uuid: "t1" } : {}),
    ...fields,
  };
}

describe("fields of a task", () => {
  const fieldsOf = (state: EventState): object => ({ ...state.tasks.get("t1")?.fields });

  test("are all that its events said, by their names on the wire, later ones over earlier ones", () => {
    const state = make();
    state.event(
      event("task-received", { name: "a", args: "()", root_id: "r", retries: 0, eta: null, step: 1 }),
    );
    state.event(event("task-progress", { done: 3, step: 2, of: { parts: [1] }, pid: 8 }));
    state.event(event("task-succeeded", { result: "5", runtime: 0.5, pid: 8 }));
    expect(fieldsOf(state)).toEqual({
      name: "a",
      args: "()",
      root_id: "r",
      retries: 0,
      result: "5",
      runtime: 0.5,
      pid: 8,
      step: 2,
      done: 3,
      of: { parts: [1] },
    });
    expect(state.tasks.get("t1")).toMatchObject({ state: "SUCCESS", pid: 8 });
  });

  test("of a task-received that comes late only what describes the task counts", () => {
    const state = make();
    state.event(event("task-succeeded", { result: "5", step: 2 }));
    state.event(event("task-received", { name: "a", queue: "q", step: 1 }));
    expect(fieldsOf(state)).toEqual({ name: "a", result: "5", pid: 7, step: 2 });
  });

  test("are bounded by number and by bytes, and count in the state's bytes; no name is special", () => {
    const state = make();
    state.event(event("task-received"));
    const bare = state.bytes;
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, n) => [`f${n}`, "x".repeat(100)]));
    state.event(event("task-progress", { ...many, long: "x".repeat(70_000), deep: ["x".repeat(70_000)] }));
    expect(Object.keys(fieldsOf(state))).toHaveLength(1 + 100);
    expect(state.bytes).toBeGreaterThan(bare + 100 * 100);
    const grown = state.bytes;
    state.event(event("task-progress", { f0: "y" }));
    expect(state.bytes).toBe(grown - 99);
    state.clearTasks({ ready: false });
    expect(state.bytes).toBe(0);
    state.event(
      JSON.parse(
        JSON.stringify(event("task-progress")).replace(/\}$/, ',"__proto__":{"polluted":1}}'),
      ) as AnyEvent,
    );
    expect(state.tasks.get("t1")?.fields["__proto__"]).toEqual({ polluted: 1 });
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("workers", () => {
  test("one is alive for twice the time between its heartbeats", () => {
    const state = make();
    state.event(event("worker-heartbeat", { freq: 2, active: 3, sw_ident: "petiole" }));
    now += 3.9;
    expect(state.aliveWorkers()).toMatchObject([
      { hostname: "w@h", pid: 7, freq: 2, active: 3, swIdent: "petiole" },
    ]);
    now += 0.2;
    expect(state.aliveWorkers()).toEqual([]);
    expect(state.dropLost().map((one) => one.hostname)).toEqual(["w@h"]);
    expect(state.workers.size).toBe(0);
  });

  test("it joins once, and again when it says that it has started; it leaves when it says so", () => {
    const seen: string[] = [];
    const state = make({
      onNodeJoin: () => seen.push("join"),
      onNodeLeave: () => seen.push("leave"),
    });
    for (const type of ["worker-heartbeat", "worker-heartbeat", "worker-online", "worker-offline"])
      state.event(event(type));
    expect([seen, state.workers.size]).toEqual([["join", "join", "leave"], 0]);
  });

  test("what it tells of tasks is a sign of life", () => {
    const state = make();
    state.event(event("task-received", { name: "a" }));
    expect(state.aliveWorkers().length).toBe(1);
  });

  test("a wall clock that is off is told once, until it is right again", () => {
    const drifts: number[] = [];
    const state = make({ onDrift: (worker) => drifts.push(worker.drift) });
    for (const off of [20, 30, 3, -17]) state.event(event("worker-heartbeat", { timestamp: now - off }));
    expect(drifts).toEqual([20, -17]);
  });

  test("a time zone is no drift: the receiver's shift by it is taken back", () => {
    const drifts: number[] = [];
    const state = make({ onDrift: (worker) => drifts.push(worker.drift) });
    state.event(event("worker-heartbeat", { utcoffset: here - 2, timestamp: now + 2 * 3600 }));
    expect(drifts).toEqual([]);
  });

  test("no more are kept than are allowed", () => {
    const state = make({ maxWorkers: 3 });
    for (let n = 0; n < 10; n += 1) state.event(event("worker-online", { hostname: `w${n}@h` }));
    expect([...state.workers.keys()]).toEqual(["w7@h", "w8@h", "w9@h"]);
  });
});

describe("tasks", () => {
  test("what describes a task is taken though it comes late, and its state stays", () => {
    const state = make();
    state.event(event("task-succeeded", { result: "5", runtime: 0.1, clock: 9 }));
    state.event(event("task-received", { name: "add", args: "(2, 3)", retries: 0, clock: 5 }));
    expect(state.tasks.get("t1")).toMatchObject({
      state: "SUCCESS",
      name: "add",
      args: "(2, 3)",
      result: "5",
      worker: "w@h",
      clock: 9,
    });
    expect(state.tasksByType("add").length).toBe(1);
    expect(state.taskTypes()).toEqual(["add"]);
  });

  test("a retry may come before and after any other state", () => {
    const state = make();
    for (const type of ["task-started", "task-retried", "task-received"]) state.event(event(type));
    expect(state.tasks.get("t1")?.state).toBe("RECEIVED");
  });

  test("a type of its own is a state in capitals, below SUCCESS and FAILURE", () => {
    const state = make();
    for (const type of ["task-progress", "task-started"]) state.event(event(type));
    expect(state.tasks.get("t1")?.state).toBe("PROGRESS");
    state.event(event("task-failed", { exception: "E()" }));
    expect(state.tasks.get("t1")).toMatchObject({ state: "FAILURE", exception: "E()" });
  });

  test("the client that sent it is not its worker", () => {
    const state = make();
    state.event(event("task-sent", { hostname: "gen1@c", name: "add", queue: "q" }));
    expect(state.tasks.get("t1")).toMatchObject({
      client: "gen1@c",
      worker: null,
      queue: "q",
      state: "PENDING",
    });
    expect(state.workers.size).toBe(0);
  });

  test("those that are done can be forgotten", () => {
    const state = make();
    state.event(event("task-succeeded", { uuid: "done" }));
    state.event(event("task-started", { uuid: "runs" }));
    state.clearTasks();
    expect([...state.tasks.keys()]).toEqual(["runs"]);
    state.clearTasks({ ready: false });
    expect([state.tasks.size, state.bytes, state.tasksByWorker("w@h")]).toEqual([0, 0, []]);
  });

  test("their texts are bounded: the oldest go, and what is too long is cut", () => {
    const state = make({ maxBytes: 100_000 });
    for (let n = 0; n < 50; n += 1)
      state.event(event("task-failed", { uuid: `t${n}`, traceback: "x".repeat(20_000) }));
    expect(state.bytes).toBeLessThanOrEqual(100_000);
    expect([...state.tasks.keys()]).toEqual(["t46", "t47", "t48", "t49"]);
    state.event(event("task-failed", { uuid: "big", traceback: "x".repeat(1_000_000) }));
    expect(state.tasks.get("big")?.traceback?.length).toBeLessThan(70_000);
  });
});

// ---- against a model: the history of each task as a list, read again from its start

const SUBJECTS = [
  "sent",
  "received",
  "started",
  "succeeded",
  "failed",
  "retried",
  "revoked",
  "rejected",
  "progress",
];
const STATES: Readonly<Record<string, string>> = {
  sent: "PENDING",
  received: "RECEIVED",
  started: "STARTED",
  succeeded: "SUCCESS",
  failed: "FAILURE",
  retried: "RETRY",
  revoked: "REVOKED",
  rejected: "REJECTED",
  progress: "PROGRESS",
};
const ORDER = [
  "SUCCESS",
  "FAILURE",
  "PROGRESS",
  "REVOKED",
  "STARTED",
  "RECEIVED",
  "REJECTED",
  "RETRY",
  "PENDING",
];

interface Step {
  readonly task: number;
  readonly subject: string;
  readonly worker: number;
  readonly name: number;
  readonly wait: number;
}

function modelState(history: readonly Step[]): string {
  let state = "PENDING";
  for (const { subject } of history) {
    const next = STATES[subject] as string;
    const isLater = ORDER.indexOf(next) <= ORDER.indexOf(state);
    if (next === "RETRY" || state === "RETRY" || isLater) state = next;
  }
  return state;
}

test("after any events, a state is what a simple model says", () => {
  const step = fc.record({
    task: fc.nat(12),
    subject: fc.constantFrom(...SUBJECTS),
    worker: fc.nat(3),
    name: fc.nat(2),
    wait: fc.nat(3),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), fc.integer({ min: 1, max: 8 }), (steps, maxTasks) => {
      const state = make({ maxTasks });
      let known: { id: string; history: Step[] }[] = [];
      const beats = new Map<string, number>();
      for (const one of steps) {
        now += one.wait;
        const id = `t${one.task}`;
        const hostname = `w${one.worker}@h`;
        state.event(event(`task-${one.subject}`, { uuid: id, hostname, name: `n${one.name}`, freq: 2 }));
        let entry = known.find((other) => other.id === id);
        if (entry === undefined) {
          entry = { id, history: [] };
          known = [...known, entry].slice(-maxTasks);
        }
        entry.history.push(one);
        if (one.subject !== "sent") beats.set(hostname, now);
      }
      expect([...state.tasks.values()].map((task) => [task.uuid, task.state])).toEqual(
        known.map(({ id, history }) => [id, modelState(history)]),
      );
      for (const worker of [0, 1, 2, 3]) {
        const hostname = `w${worker}@h`;
        const last = beats.get(hostname);
        const alive = state.aliveWorkers().some((one) => one.hostname === hostname);
        expect(alive).toBe(last !== undefined && now < last + 120);
        const its = known.filter(
          ({ history }) => history.findLast((one) => one.subject !== "sent")?.worker === worker,
        );
        expect(new Set(state.tasksByWorker(hostname).map((one) => one.uuid))).toEqual(
          new Set(its.map(({ id }) => id)),
        );
      }
      for (const name of [0, 1, 2]) {
        const its = known.filter(({ history }) => history.at(-1)?.name === name);
        expect(new Set(state.tasksByType(`n${name}`).map((one) => one.uuid))).toEqual(
          new Set(its.map(({ id }) => id)),
        );
      }
      expect(state.eventCount).toBe(steps.length);
      expect(state.tasksByTime({ limit: 3 }).length).toBe(Math.min(3, known.length));
    }),
    { seed, numRuns: 300 },
  );
});
