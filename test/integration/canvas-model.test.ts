/** Random canvases on two workers over a real Redis, every message of them delivered twice now and then, against a plain evaluation. */
import { type AnySignature, Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import type * as Internals from "../../src/app/internals.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { uuid4 } from "../../src/base/uuid.ts";
import { built } from "../support/built.ts";
import { build, evaluate, type Spec, w, wi } from "../support/canvas-spec.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { seed } from "../support/seed.ts";

/** `CANVASES=5000` for more. */
const CANVASES = Number(process.env["CANVASES"] ?? 200);
const AT_ONCE = 50;
const MOST_TASKS = 200;

let redis: RedisServer;
let apps: Celery[] = [];
let workers: Worker[] = [];
let internals: (typeof Internals)["internalsOf"];

beforeAll(async () => {
  ({ internalsOf: internals } = (await import(built("app/internals.js"))) as typeof Internals);
  redis = await startRedis();
  apps = [0, 1, 2].map(
    () =>
      new Celery("model", {
        brokerUrl: `${redis.url}/0`,
        resultBackend: `${redis.url}/1`,
        logger: silentLogger,
      }),
  );
  for (const app of apps)
    app.task("demo.wrap", { acksLate: true }, (...values: unknown[]) => [
      values.at(-1),
      ...values.slice(0, -1),
    ]);
  workers = apps.slice(1).map((app) => new Worker(app, { concurrency: 16 }));
  await Promise.all(workers.map((worker) => worker.start()));
});
afterAll(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
  await Promise.all(apps.map((app) => app.close()));
  await redis.stop();
});

let state = seed >>> 0;
function below(limit: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 4_294_967_296) * limit);
}

let label = 0;
function drawn(depth: number): Spec {
  const several = (): readonly Spec[] => Array.from({ length: 1 + below(3) }, () => drawn(depth - 1));
  switch (depth === 0 ? 0 : below(6)) {
    case 3:
      return { kind: "chain", steps: several() };
    case 4:
      return { kind: "group", members: several() };
    case 5:
      return { kind: "chord", header: several(), body: drawn(depth - 1) };
    default:
      label += 1;
      return below(8) === 0 ? wi(`t${label}`) : w(`t${label}`);
  }
}

function tasksOf(spec: Spec): number {
  const sum = (all: readonly Spec[]): number => all.reduce((count, one) => count + tasksOf(one), 0);
  switch (spec.kind) {
    case "task":
      return 1;
    case "chain":
      return sum(spec.steps);
    case "group":
      return sum(spec.members);
    case "chord":
      return sum(spec.header) + tasksOf(spec.body);
  }
}

/** Now and then what is sent is delivered twice. */
async function run(app: Celery, canvas: AnySignature): Promise<unknown> {
  const { sender, results } = internals(app) as ReturnType<typeof internals> & {
    readonly results: { of(node: unknown): { get(options: object): Promise<unknown> } };
  };
  const plan = sender.plan(canvas.toJSON(), { args: [], kwargs: {}, options: {} }, uuid4);
  await sender.publish(plan, null);
  if (below(4) === 0) await sender.publish({ sends: plan.sends, chords: [] }, null);
  return results.of(plan.result).get({ timeout: 30 });
}

test(`${CANVASES} random canvases`, { timeout: 600_000 }, async () => {
  const [client] = apps;
  if (client === undefined) throw new Error("no app");
  let left = CANVASES;
  const one = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      let spec = drawn(5);
      while (tasksOf(spec) > MOST_TASKS) spec = drawn(5);
      const value = await run(client, build(client, spec)).catch((error: unknown) => String(error));
      expect({ spec, value }).toEqual({ spec, value: evaluate(spec) });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, one));
});
