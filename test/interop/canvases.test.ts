/**
 * Canvases of every shape, sent from either language, in a fleet where any task may be run by a Python or a TypeScript worker.
 * What comes out is compared with a plain evaluation.
 */
import type { Celery } from "petiole";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, ch, co, evaluate, gr, PYTHON_BUILD, type Spec, w, wi } from "../support/canvas-spec.ts";
import type { PythonClient } from "../support/python.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
let python: PythonClient;
let app: Celery;

beforeAll(async () => {
  fleet = await startFleet();
  ({ python, app } = fleet);
  await Promise.all([
    fleet.worker({ hostname: "ts@test", concurrency: 3 }),
    fleet.pythonWorker({ name: "py@test", concurrency: 3 }),
  ]);
});

afterAll(() => fleet?.stop());

const pair = gr(w("x"), w("y"));
const three = [w("p"), w("q"), w("r")];

/** Both clients. */
const SHAPES: readonly Spec[] = [
  w("a"),
  ch(w("a"), w("b")),
  ch(w("a"), w("b"), w("c"), w("d")),
  ch(w("a"), wi("b"), w("c")),
  ch(ch(w("a"), w("b")), ch(w("c"), w("d"))),
  gr(w("a"), w("b"), w("c")),
  gr(ch(w("a"), w("b")), ch(w("c"), w("d"))),
  gr(w("a")),
  co([w("a"), w("b")], w("z")),
  co([w("a")], w("z")),
  co(three, ch(w("y"), w("z"))),
  co([ch(w("a"), w("b")), w("c")], w("z")),
  co([ch(w("a"), w("b")), ch(w("c"), w("d"))], ch(w("y"), w("z"))),
  co([w("a"), w("b")], wi("z")),
  co([w("a"), w("b")], pair),
  ch(w("a"), pair),
  ch(w("a"), pair, w("z")),
  ch(w("a"), gr(w("x")), w("z")),
  ch(gr(w("x")), w("z")),
  ch(pair, w("z")),
  ch(pair, w("y"), w("z")),
  ch(pair, w("m"), pair, w("z")),
  ch(pair, pair, w("z")),
  ch(w("a"), pair, pair, pair, w("z")),
  co([co([w("a"), w("b")], w("m")), w("c")], w("z")),
  co([co([w("a"), w("b")], w("m")), co([w("c"), w("d")], w("n"))], w("z")),
  co([ch(w("a"), pair, w("m")), w("c")], w("z")),
  co([w("a"), w("b")], co(three, w("z"))),
  ch(co([w("a"), w("b")], w("m")), w("n"), co(three, w("z"))),
  gr(co([w("a"), w("b")], w("m")), w("c")),
  gr(ch(w("a"), pair), w("c")),
  gr(ch(w("a"), pair, w("z")), w("c")),
  ch(w("a"), gr(ch(w("b"), w("c")), w("d")), w("z")),
  ch(w("a"), gr(wi("b"), w("c")), w("z")),
  ch(w("a"), co([w("b"), ch(w("c"), w("d"))], w("m")), w("z")),
  co([ch(w("a"), ch(w("b"), co([w("c"), w("d")], w("m")))), w("e")], ch(w("y"), pair, w("z"))),
  co([co([co([w("a"), w("b")], w("k")), w("c")], w("m")), w("d")], w("z")),
  ch(w("1"), w("2"), w("3"), gr(w("4"), ch(w("5"), gr(w("6"), w("7")), w("8"))), w("9")),
];

/**
 * Ours alone: Python hands the results of a nested group on in another order, waits in the worker for those of a group at the
 * end of a header's chain, and its client does not see the end of a group that is the body of a chord in a chain.
 */
const OURS: readonly Spec[] = [
  ch(w("a"), pair, pair),
  gr(gr(w("a"), w("b")), w("c")),
  co([w("a"), gr(w("b"), gr(w("c"), w("d")), w("e"))], w("z")),
  ch(gr(w("a"), gr(w("b"), w("c"))), w("z")),
  co([w("a"), ch(w("b"), pair)], w("z")),
  co([ch(w("a"), pair), ch(w("b"), pair)], w("z")),
  co([co([w("a"), w("b")], pair), w("c")], w("z")),
  ch(w("a"), gr(ch(w("b"), pair), w("c")), w("z")),
  co([ch(w("a"), gr(ch(w("b"), pair), w("c"))), w("d")], w("z")),
  ch(co([w("a")], pair), co([w("b")], w("z"))),
  co([], w("z")),
];

describe("sent from Python", () => {
  test.each(SHAPES.map((spec) => [JSON.stringify(spec), spec] as const))("%s", async (_name, spec) => {
    const value = await python.value(`${PYTHON_BUILD}\nreturn build(args[0]).delay().get(timeout=20)`, [
      spec,
    ]);
    expect(value).toEqual(evaluate(spec));
  });
});

describe("sent from here", () => {
  test.each([...SHAPES, ...OURS].map((spec) => [JSON.stringify(spec), spec] as const))(
    "%s",
    async (_name, spec) => {
      const result = await build(app, spec).delay();
      expect(await result.get({ timeout: 20 })).toEqual(evaluate(spec));
    },
  );
});
