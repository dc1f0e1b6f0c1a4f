/** A Django project and TypeScript workers on one PostgreSQL: either reads what the other has stored, and they end chords together. */
import type { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, ch, co, evaluate, gr, PYTHON_BUILD, type Spec, w } from "../support/canvas-spec.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import {
  type PythonClient,
  type PythonWorker,
  startPythonClient,
  startPythonWorker,
} from "../support/python.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { makeApp } from "./fixtures/tasks.ts";

const CONFIG = {
  result_extended: true,
  task_track_started: true,
  task_routes: { "mixed.*": { queue: "mixed" } },
};

let postgres: PostgresServer;
let redis: RedisServer;
let python: PythonClient;
let pythonWorker: PythonWorker;
let app: Celery;
let worker: Worker;

beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  const url = await postgres.createDatabase("shop");
  const options = {
    broker: `${redis.url}/0`,
    backend: "django-db",
    config: CONFIG,
    env: { DJANGO_SETTINGS_MODULE: "settings", DATABASE_URL: url },
  };
  python = await startPythonClient(options);
  await python.run(`
    from django.core.management import call_command
    call_command("migrate", "django_celery_results", verbosity=0)
  `);
  const setup = { broker: `${redis.url}/0`, backend: "django-db", config: { ...CONFIG, database_url: url } };
  app = makeApp(setup);
  const own = makeApp(setup);
  worker = new Worker(own, { hostname: "ts@test", concurrency: 3, queues: ["celery", "ts"] });
  [pythonWorker] = await Promise.all([
    startPythonWorker({ ...options, name: "py@test", queues: ["celery", "py"] }),
    worker.start(),
  ]);
});

afterAll(async () => {
  await worker?.stop();
  await worker?.app.close();
  await app?.close();
  await pythonWorker?.stop();
  await python?.stop();
  await redis?.stop();
  await postgres?.stop();
});

/** Python sends a task to a queue, waits for its end, and reads its row by Django's model. */
const ROW = `
    from django_celery_results.models import TaskResult
    task, given, queue, headers = args
    result = app.send_task(task, given, queue=queue, headers=headers)
    result.get(timeout=20, propagate=False)
    row = TaskResult.objects.filter(task_id=result.id).values().get()
    read = AsyncResult(result.id)
    return {
        "row": {k: v for k, v in row.items() if k not in ("id", "task_id") and not k.startswith("date_")},
        "dates": [row["date_created"] <= row["date_started"] <= row["date_done"]],
        "read": [read.state, repr(read.result), read.args, read.kwargs, read.worker, read.children],
        "id": result.id,
    }
`;

interface Read {
  readonly row: Readonly<Record<string, unknown>>;
  readonly dates: readonly boolean[];
  readonly read: readonly unknown[];
  readonly id: string;
}

const of = (task: string, given: readonly unknown[], queue: string, headers: object = {}): Promise<Read> =>
  python.value<Read>(ROW, [task, given, queue, headers]);

describe("a row of ours is that of a Python worker", () => {
  test.each([
    ["demo.add", [2, 3]],
    ["demo.echo", [{ a: [1, "é 🍃"], "b:,": 'a "quoted", text: \\' }]],
    ["demo.echo", [null]],
  ])("%s %j", async (task, given) => {
    const headers = { periodic_task_name: "nightly", meta: { tenant: "acme" } };
    const [ours, theirs] = await Promise.all([
      of(task, given, "ts", headers),
      of(task, given, "py", headers),
    ]);
    expect(ours.row).toEqual({ ...theirs.row, worker: "ts@test" });
    expect(theirs.row["worker"]).toBe("py@test");
    expect(ours.dates).toEqual([true]);
    expect(ours.read.toSpliced(4, 1)).toEqual(theirs.read.toSpliced(4, 1));
  });

  test("of a failure too, but for the text of its traceback", async () => {
    const [ours, theirs] = await Promise.all([
      of("demo.fail", ["broken"], "ts"),
      of("demo.fail", ["broken"], "py"),
    ]);
    expect(ours.row).toEqual({
      ...theirs.row,
      worker: "ts@test",
      traceback: expect.stringContaining("broken"),
    });
    expect(theirs.row["traceback"]).toContain("broken");
    expect(ours.read[1]).toBe(theirs.read[1]);
  });
});

test("what a Python worker stored is read here, by its row and by one who waits for it", async () => {
  const result = await app.sendTask("demo.echo", [{ a: ["ü"] }], { queue: "py" });
  expect(await result.get({ timeout: 20 })).toEqual({ a: ["ü"] });
  const failed = await app.sendTask("demo.fail", ["broken"], { queue: "py" });
  await expect(failed.get({ timeout: 20 })).rejects.toMatchObject({
    type: "ValueError",
    args: ["broken", 42],
  });
  const status = await failed.status();
  expect(status).toMatchObject({ state: "FAILURE", traceback: expect.stringContaining("ValueError") });
});

test("a group that one side saved the other restores", async () => {
  const saved = await python.value<readonly [string, readonly string[]]>(`
    result = group([add.s(1, 1), add.s(2, 2)]).apply_async()
    result.save()
    return [result.id, [one.id for one in result.results]]
  `);
  const restored = await app.restoreGroup(saved[0]);
  expect(restored?.results.map((one) => one.id)).toEqual(saved[1]);
  expect(await restored?.get({ timeout: 20 })).toEqual([2, 4]);
  await restored?.save();
  const again = await python.value("return [one.id for one in app.GroupResult.restore(args[0]).results]", [
    saved[0],
  ]);
  expect(again).toEqual(saved[1]);
});

/** Parts and bodies are run by whichever worker takes them. */
const SHAPES: readonly Spec[] = [
  co([w("a"), w("b"), w("c"), w("d"), w("e"), w("f")], w("z")),
  co([ch(w("a"), w("b")), w("c"), w("d")], ch(w("y"), w("z"))),
  ch(w("a"), gr(w("x"), w("y"), w("u")), w("z")),
];

describe("chords of both kinds of workers", () => {
  test.each(SHAPES.map((spec) => [JSON.stringify(spec), spec] as const))("%s", async (_name, spec) => {
    const expected = evaluate(spec);
    const sent = Array.from({ length: 5 }, async () => {
      const result = await build(app, spec).delay();
      expect(await result.get({ timeout: 30 })).toEqual(expected);
    });
    const code = `${PYTHON_BUILD}\nreturn [one.get(timeout=30) for one in [build(args[0]).delay() for _ in range(5)]]`;
    expect(await python.value(code, [spec])).toEqual(Array.from({ length: 5 }, () => expected));
    await Promise.all(sent);
    expect(
      await python.value(
        "from django_celery_results.models import ChordCounter\nreturn ChordCounter.objects.count()",
      ),
    ).toBe(0);
  });
});

test("celery.backend_cleanup deletes what has expired, whoever stored it, and nothing else", async () => {
  await Promise.all([of("demo.add", [1, 1], "ts"), of("demo.add", [1, 1], "py")]);
  const count = "from django_celery_results.models import TaskResult\nreturn TaskResult.objects.count()";
  expect(await python.value(count)).toBeGreaterThan(1);
  await python.run(`
    from django_celery_results.models import TaskResult
    TaskResult.objects.all().update(date_done=datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc))
  `);
  const other = await of("demo.add", [1, 1], "ts");
  await app.sendTask("celery.backend_cleanup", [], { queue: "ts", ignoreResult: true });
  const left = `
    from django_celery_results.models import TaskResult
    return [row.task_id for row in TaskResult.objects.all()]
  `;
  await expect.poll(() => python.value(left), { timeout: 20_000 }).toEqual([other.id]);
});
