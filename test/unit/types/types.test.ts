/** The types are part of the product: what the compiler says about mistakes, and what checking costs. */
import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compile, diagnosticsOf, instantiationsOf } from "./compiler.ts";

const TIMEOUT_MS = 120_000;

const sample = new URL("../../types/mistakes/mistakes.ts", import.meta.url);
const stored = new URL("../../types/mistakes/expected.json", import.meta.url);

interface Mistake {
  readonly mistake: string;
  readonly messages: readonly string[];
}

/** Messages under the mark `/*M1 …*\/` that comes before them. */
function mistakes(): readonly Mistake[] {
  const text = readFileSync(sample, "utf8");
  const marks = [...text.matchAll(/\/\*(M\d+ [^*]+)\*\//gu)].map((found) => ({
    at: found.index,
    mistake: found[1] ?? "",
    messages: [] as string[],
  }));
  for (const { start, text: message } of diagnosticsOf(
    compile("mistakes/mistakes.ts"),
    "mistakes/mistakes.ts",
  )) {
    const mark = marks.findLast((one) => one.at < start);
    if (!mark) throw new Error(`an error before the first mark: ${message}`);
    mark.messages.push(message);
  }
  return marks.map(({ mistake, messages }) => ({ mistake, messages }));
}

test("each mistake gets the message that is on file (UPDATE_TYPES=1 stores them anew)", {
  timeout: TIMEOUT_MS,
}, () => {
  const found = mistakes();
  if (process.env["UPDATE_TYPES"] === "1") writeFileSync(stored, `${JSON.stringify(found, null, 2)}\n`);
  expect(found).toEqual(JSON.parse(readFileSync(stored, "utf8")));
  expect(found.filter(({ messages }) => messages.length === 0)).toEqual([]);
});

test("no message is longer than a screen, and none says that no overload matches", {
  timeout: TIMEOUT_MS,
}, () => {
  const all = mistakes().flatMap(({ messages }) => messages);
  expect(all.filter((message) => message.includes("No overload matches"))).toEqual([]);
  expect(all.filter((message) => message.length > 1200)).toEqual([]);
});

test("the samples compile", { timeout: TIMEOUT_MS }, () => {
  expect(diagnosticsOf(compile("samples.ts"), "samples.ts")).toEqual([]);
});

/** Instantiations of each kind of file above an empty one, as measured; a quarter more is too much. */
const COSTS: Readonly<Record<string, readonly [line: (index: number) => string, measured: number]>> = {
  "100 tasks with an object for argument and result": [
    (n) =>
      `export const t${n} = app.task("t${n}", (order: { id: string; n${n}: number; tags: string[] }) => ({ id: order.id, total: order.n${n} }));`,
    27130,
  ],
  "100 tasks with bind and options": [
    (n) =>
      `export const t${n} = app.task("t${n}", { bind: true, maxRetries: ${n} }, async (task, id: string, n${n}: number) => ({ id: task.name + id, n: n${n} }));`,
    49910,
  ],
  "100 calls": [(n) => `void first.applyAsync([${n}, "a"], { countdown: ${n} });`, 40],
  "100 signatures with a part of the arguments": [(n) => `export const s${n} = first.s("${n}");`, 4240],
  "100 tasks of elsewhere": [
    (n) => `export const r${n} = app.remote<(x${n}: number) => string>("r${n}").delay(${n});`,
    4947,
  ],
};

const HEAD = `import { Celery } from "petiole";
export const app = new Celery("cost");
export const first = app.task("first", (x: number, y: string) => x + y.length);
`;

describe("what types cost", () => {
  let base = 0;

  test("the base is an app and one task", { timeout: TIMEOUT_MS }, () => {
    base = instantiationsOf("cost.ts", HEAD);
    expect(base).toBeGreaterThan(0);
  });

  test.each(Object.entries(COSTS))("%s", { timeout: TIMEOUT_MS }, (_what, [line, measured]) => {
    const lines = Array.from({ length: 100 }, (_, index) => line(index));
    const cost = instantiationsOf("cost.ts", HEAD + lines.join("\n")) - base;
    expect(cost).toBeGreaterThan(measured / 4);
    expect(cost).toBeLessThan(measured * 1.25);
  });
});
