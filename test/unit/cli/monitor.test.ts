/** The monitor without a terminal: keys, model and screen. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cellsOf, fit, folded, painted, plain } from "../../../src/cli/monitor/cells.ts";
import { type Key, keysOf } from "../../../src/cli/monitor/keys.ts";
import {
  afterKey,
  type Cluster,
  type KeyContext,
  type Model,
  START,
  settled,
} from "../../../src/cli/monitor/model.ts";
import { pageColumns, pageRows, render, type Size, tableRows } from "../../../src/cli/monitor/render.ts";
import { EventState } from "../../../src/events/state.ts";
import type { AnyEvent } from "../../../src/protocol/events.ts";
import { seed } from "../../support/seed.ts";

const NOW = 1_800_000_000;

function cluster(count: number, more: readonly Partial<AnyEvent>[] = []): Cluster {
  const state = new EventState({}, () => NOW);
  const feed = (event: Partial<AnyEvent>): void =>
    state.event({
      hostname: "w@here",
      pid: 1,
      clock: state.eventCount + 1,
      utcoffset: 0,
      timestamp: NOW,
      local_received: NOW,
      ...event,
    } as AnyEvent);
  feed({ type: "worker-online", freq: 2 });
  feed({ type: "worker-heartbeat", freq: 2, active: 3, processed: 7, loadavg: [0.5, 1, 1] });
  for (let n = 0; n < count; n += 1)
    feed({ type: "task-received", uuid: `id-${n}`, name: `shop.t${n}`, args: "(1,)" });
  for (const one of more) feed(one);
  return {
    tasks: state.tasksByTime(),
    workers: [...state.workers.values()],
    eventCount: state.eventCount,
    taskCount: state.taskCount,
  };
}

const ESC = "\u001b";
const LOOKS = new RegExp(`${ESC}\\[[\\d;]*m`, "g");

const SIZE: Size = { columns: 100, rows: 20 };

const contextOf = (shown: Cluster, size: Size = SIZE): KeyContext => ({
  cluster: shown,
  rows: tableRows(size, shown.workers.length),
  pageRows: pageRows(size),
  pageColumns: pageColumns(size),
});

function pressed(keys: string, shown: Cluster, from: Model = START): ReturnType<typeof afterKey> {
  let step: ReturnType<typeof afterKey> = { model: from, effect: { kind: "none" } };
  for (const key of keysOf(keys)) step = afterKey(step.model, key, contextOf(shown));
  return step;
}

const text = (model: Model, shown: Cluster, size: Size = SIZE): readonly string[] =>
  render({ title: "petiole events", model, cluster: shown }, size).map((line) => painted(line, false));

describe("the screen", () => {
  test("tasks, workers, what is selected", () => {
    const shown = cluster(2, [
      { type: "task-succeeded", uuid: "id-1", result: "5", runtime: 0.123 },
      { type: "worker-online", hostname: "gone@here", freq: 2, local_received: NOW - 100 },
    ]);
    const { model } = pressed("j", shown);
    const lines = text(model, shown);
    expect(lines).toHaveLength(20);
    expect(lines[0]).toMatch(/^petiole events +events 6 {2}tasks 2 {2}workers 1\/2$/);
    expect(lines[1]).toMatch(/^ {2}UUID +TASK +WORKER +TIME +STATE/);
    expect(lines[2]).toMatch(/^> id-1 +shop\.t1 +w@here +\d\d:\d\d:\d\d SUCCESS *$/);
    expect(lines[3]).toMatch(/^ {2}id-0 +shop\.t0 +w@here +\d\d:\d\d:\d\d RECEIVED$/);
    const all = lines.join("\n");
    expect(all).toMatch(
      /WORKER +STATUS +RUNNING +DONE +LOAD *\n {2}w@here +online +3 +7 +0\.5 *\n {2}gone@here +offline/,
    );
    expect(all).toContain("Selected: id-1 args=(1,) runtime=0.12 result=5");
    expect(all).toContain("Workers online: w@here");
    expect(lines.at(-1)).toMatch(/^Keys: .*q:quit/);
  });

  test("nothing yet", () => {
    const all = text(START, { tasks: [], workers: [], eventCount: 0, taskCount: 0 }).join("\n");
    expect(all).toContain("No task yet");
    expect(all).toContain("No workers discovered.");
    expect(all).toContain("No task selected");
  });

  test("always as many lines as the terminal has, none too wide, whatever strangers send and however small it is", () => {
    fc.assert(
      fc.property(
        fc.record({ columns: fc.integer({ min: 1, max: 200 }), rows: fc.integer({ min: 1, max: 60 }) }),
        fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.string({ unit: "binary" })), { maxLength: 30 }),
        fc.string(),
        (size, tasks, keys) => {
          const shown = cluster(
            0,
            tasks.map(([name, args], n) => ({ type: "task-received", uuid: `u${n}`, name, args })),
          );
          const { model } = pressed(`j${keys}`, shown);
          const lines = text(model, shown, size);
          expect(lines).toHaveLength(size.rows);
          for (const line of lines) {
            expect(cellsOf(line)).toBeLessThanOrEqual(size.columns);
            expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
          }
        },
      ),
      { seed, numRuns: 300 },
    );
  });

  test("colour is the only thing that no colour takes away", () => {
    const shown = cluster(3, [{ type: "task-failed", uuid: "id-0", exception: "E()", traceback: "T" }]);
    for (const keys of ["", "j", "jc", "jl", "ji", "?"]) {
      const lines = render({ title: "t", model: pressed(keys, shown).model, cluster: shown }, SIZE);
      for (const line of lines) {
        const colored = painted(line, true);
        expect(colored.replaceAll(LOOKS, "")).toBe(painted(line, false));
      }
    }
  });
});

describe("keys", () => {
  test("of a terminal", () => {
    expect(keysOf("\u001b[A\u001bOB\u001b[5~q\r\u001b\u007f\u0003é\u001b[99;1Z\u0001")).toEqual([
      "up",
      "down",
      "pageup",
      { char: "q" },
      "enter",
      "escape",
      "backspace",
      "interrupt",
      { char: "é" },
    ] satisfies Key[]);
  });

  test("the selected task stays selected and in sight while others come", () => {
    const few = cluster(30);
    const { model } = pressed("jjj", few);
    expect(model.selected).toBe("id-27");
    const many = cluster(60);
    const moved = settled(model, contextOf(many));
    expect(text(moved, many).join("\n")).toMatch(/> id-27/);
    expect(pressed("k", many, moved).model.selected).toBe("id-28");
    expect(pressed("\u001b[F", many, moved).model.selected).toBe("id-0");
    expect(pressed("\u001b[H", many, moved).model.selected).toBe("id-59");
    const last = pressed("\u001b[F", many, moved).model;
    expect(pressed("kkk", many, last).model.top).toBe(last.top);
    expect(pressed("kkkk", cluster(2)).model.selected).toBe("id-1");
  });

  test.each([
    ["q", "quit"],
    ["\u001b", "quit"],
    ["\u0003", "quit"],
    ["i", "bell"],
    ["c", "bell"],
    ["jr", "bell"],
    ["jt", "bell"],
    ["x", "none"],
    ["\u000c", "redraw"],
    ["jc ", "none"],
    ["jl\r", "none"],
    ["?q", "none"],
    ["?\u0003", "quit"],
  ])("%j gives %s", (keys, kind) => {
    expect(pressed(keys, cluster(2)).effect.kind).toBe(kind);
  });

  test("revoke asks first; a rate limit is typed", () => {
    const shown = cluster(1);
    expect(pressed("jcy", shown).effect).toEqual({ kind: "revoke", uuid: "id-0", terminate: false });
    expect(pressed("jct", shown).effect).toEqual({ kind: "revoke", uuid: "id-0", terminate: true });
    expect(text(pressed("jc", shown).model, shown).join("\n")).toContain("Revoke shop.t0 id-0? y: revoke");
    expect(pressed("jl10/x\u007fm\r", shown).effect).toEqual({
      kind: "rate-limit",
      task: "shop.t0",
      limit: "10/m",
    });
    expect(pressed("jl10\u001b", shown).model.mode.kind).toBe("list");
  });

  test("a page is scrolled, not beyond its end, and any other key goes back", () => {
    const traceback = Array.from({ length: 50 }, (_, n) => `line ${n}`).join("\n");
    const shown = cluster(1, [{ type: "task-failed", uuid: "id-0", exception: "E()", traceback }]);
    const end = pressed("jt\u001b[F", shown).model;
    expect(text(end, shown).join("\n")).toMatch(/line 49\n[\s\S]*lines 34-50 of 50/);
    expect(text(pressed("k", shown, end).model, shown).join("\n")).toContain("lines 33-49 of 50");
    expect(pressed("b", shown, end).model.mode.kind).toBe("list");
    expect(text(pressed("jr", shown).model, shown)[2]).toBe("  E()");
  });
});

test("text in cells", () => {
  expect(fit("日本語テキスト", 6)).toBe("日本… ");
  expect(cellsOf(fit("日本語テキスト", 6))).toBe(6);
  expect(fit("a\u001b[31m\nb", 8)).toBe("a?[31m b");
  expect(plain("a\u202eb\u0007")).toBe("a?b?");
  expect(folded("abcdef\ngh", 4)).toEqual(["abcd", "ef", "gh"]);
});
