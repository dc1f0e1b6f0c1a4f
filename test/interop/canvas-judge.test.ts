/**
 * Celery as the judge of random canvases: a Python client builds each with Celery's own `chain`, `group` and `chord` and a Python
 * worker runs it; a Python client reads ours from its JSON; our client and worker run the same. All must give the same.
 * `PETIOLE_JUDGED=200` judges more.
 */
import type { AsyncResult } from "petiole";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CanvasSource } from "../support/canvas-draw.ts";
import { build, evaluate, PYTHON_BUILD, type Spec } from "../support/canvas-spec.ts";
import { seed } from "../support/seed.ts";
import { type Fleet, startFleet } from "./harness.ts";

const SAMPLE = 12;
const JUDGED = Number(process.env["PETIOLE_JUDGED"] ?? SAMPLE);
/** Canvases that are under way at once. */
const BATCH = 20;

let celery: Fleet;
let ours: Fleet;

beforeAll(async () => {
  [celery, ours] = await Promise.all([startFleet(), startFleet()]);
  await Promise.all([
    celery.pythonWorker({ name: "py@judge", concurrency: 3 }),
    ours.worker({ concurrency: 8 }),
  ]);
}, 60_000);
afterAll(() => Promise.all([celery?.stop(), ours?.stop()]));

function endsInGroup(spec: Spec): boolean {
  switch (spec.kind) {
    case "task":
      return false;
    case "group":
      return true;
    case "chain":
      return spec.steps.slice(-1).some(endsInGroup);
    case "chord":
      return endsInGroup(spec.body);
  }
}

/**
 * Where Celery gives what `docs/canvas.md` says. It does not where results of a group are part of another's: it loses their order,
 * or waits for them in the worker, or its client does not see their end.
 */
function isFit(spec: Spec): boolean {
  switch (spec.kind) {
    case "task":
      return true;
    case "chain":
      // Of a chain of nothing but a group its client never sees the end.
      if (spec.steps.length === 1 && endsInGroup(spec)) return false;
      // Of two groups and a chain it links the chain to each member of the second group.
      if (["group", "group", "chain"].every((kind, at) => spec.steps[at]?.kind === kind)) return false;
      return (
        spec.steps.every(isFit) && !spec.steps.some((step) => step.kind !== "group" && endsInGroup(step))
      );
    case "group":
      return spec.members.every((one) => isFit(one) && !endsInGroup(one));
    case "chord":
      return [...spec.header, spec.body].every((one) => isFit(one) && !endsInGroup(one));
  }
}

const PYTHON_RUN = `
import time
from celery.canvas import maybe_signature
deadline = time.time() + 25
def value(result):
    try:
        return result.get(timeout=max(1, deadline - time.time()))
    except Exception as error:
        return repr(error)
`;

test(`${JUDGED} random canvases`, { timeout: 120_000 + JUDGED * 3000 }, async () => {
  const source = new CanvasSource(seed);
  const specs: Spec[] = [];
  let judged = 0;
  while (specs.length < JUDGED) {
    const spec = source.canvas(`c${specs.length}`, 5);
    // One task alone judges nothing.
    if (spec.kind !== "task" && isFit(spec)) specs.push(spec);
  }
  for (let from = 0; from < specs.length; from += BATCH) {
    const batch = specs.slice(from, from + BATCH);
    const canvases = batch.map((spec) => build(ours.app, spec));
    const running = Promise.all(
      canvases.map(async (canvas) => {
        const signature = canvas as unknown as { delay(): Promise<AsyncResult<unknown>> };
        return (await signature.delay()).get({ timeout: 60 });
      }),
    );
    // One call of Python at a time.
    const built = await celery.python.value(
      `${PYTHON_BUILD}${PYTHON_RUN}\nreturn [value(one) for one in [build(spec).delay() for spec in args[0]]]`,
      [batch],
    );
    const read = await celery.python.value(
      `${PYTHON_RUN}\nreturn [value(one) for one in [maybe_signature(data, app=app).delay() for data in args[0]]]`,
      [canvases.map((one) => one.toJSON())],
    );
    const run = await running;
    for (const [index, spec] of batch.entries()) {
      const says = [built, read].map((all) => (all as readonly unknown[])[index]);
      expect({ spec, value: run[index] }).toEqual({ spec, value: evaluate(spec) });
      // Some chords of chords Celery never ends.
      const verdicts = says.filter((one) => !(typeof one === "string" && one.startsWith("TimeoutError")));
      if (verdicts.length > 0) judged += 1;
      for (const verdict of verdicts) expect({ spec, value: run[index] }).toEqual({ spec, value: verdict });
    }
  }
  if (JUDGED !== SAMPLE) console.log(JSON.stringify({ seed, canvases: JUDGED, judged }));
  expect(judged).toBeGreaterThan(0.5 * JUDGED);
});
