/** Serializers, compressions, protocol 1 and the settings that change what is in Redis: both directions under each. */
import { type Celery, kw } from "petiole";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { redisCommand } from "../support/redis.ts";
import { type Fleet, type FleetOptions, startFleet, withFleet } from "./harness.ts";

const QUEUES = { task_default_queue: "ts" };

async function startBoth(fleet: Fleet): Promise<Fleet> {
  await Promise.all([
    fleet.worker({ hostname: "ts@test", queues: ["ts"], concurrency: 2 }),
    fleet.pythonWorker({ name: "py@test", queues: ["py"], concurrency: 2, pool: "threads" }),
  ]);
  return fleet;
}

/** With a worker of each kind. */
function withBoth(
  { config, pythonOnly = {} }: FleetOptions,
  body: (fleet: Fleet) => Promise<void>,
): Promise<void> {
  return withFleet({ config: { ...QUEUES, ...config }, pythonOnly }, async (fleet) =>
    body(await startBoth(fleet)),
  )();
}

/** One call each way; both answers name the language that ran it. */
async function bothWays(fleet: Fleet): Promise<unknown[]> {
  const whoami = fleet.app.remote<(value: string) => string[]>("demo.whoami");
  const result = await whoami.applyAsync(["to python"], { queue: "py" });
  return [
    await result.get({ timeout: 20 }),
    await fleet.python.value("return whoami.apply_async(('to node',), queue='ts').get(timeout=20)"),
  ];
}

/** Does Node wait for the countdown of a message of Python's? */
function countdownWaits(fleet: Fleet): Promise<boolean> {
  return fleet.python.value<boolean>(`
    started = time.monotonic()
    add.apply_async((1, 2), countdown=1, queue="ts").get(timeout=20)
    return 0.9 < time.monotonic() - started < 6
  `);
}

const BOTH = [
  ["py", "py@test", "to python"],
  ["ts", "ts@test", "to node"],
];

describe("per message", () => {
  let fleet: Fleet;
  let app: Celery;
  beforeAll(async () => {
    fleet = await startBoth(await startFleet({ config: QUEUES }));
    ({ app } = fleet);
  });
  afterAll(() => fleet?.stop());

  const text = "ünïcode ☕ ".repeat(500);
  const stored = (queue: string): Promise<string> => redisCommand(fleet.broker, "LINDEX", queue, "0");

  test.each(["json", "msgpack", "yaml"])("%s written by Python is read by Node", async (serializer) => {
    const value = await fleet.python.value(
      "return echo.apply_async(({'t': args[1], 'n': [1, 2.5, None]},), serializer=args[0]).get(timeout=10)",
      [serializer, text],
    );
    expect(value).toEqual({ t: text, n: [1, 2.5, null] });
  });

  test.each(["json", "msgpack", "yaml"])("%s written by Node is read by Python", async (serializer) => {
    const echo = app.remote<(value: unknown) => unknown>("demo.echo");
    const sent = { t: text, n: [1, 2.5, null] };
    const result = await echo.applyAsync([sent], { serializer, queue: "py" });
    expect(await result.get({ timeout: 10 })).toEqual(sent);
  });

  test("Python refuses nothing of ours that is named otherwise than it is", async () => {
    await app.sendTask("demo.echo", [1, kw({})], { serializer: "msgpack", queue: "nobody" });
    expect(JSON.parse(await stored("nobody"))).toMatchObject({
      "content-type": "application/x-msgpack",
      "content-encoding": "binary",
    });
  });

  const PYTHON_WRITES = ["gzip", "zlib", "bzip2", "lzma", "xz", "brotli", "zstd"];
  test.each(PYTHON_WRITES)("%s written by Python is read by Node", async (compression) => {
    const value = await fleet.python.value(
      "return echo.apply_async((args[1],), compression=args[0]).get(timeout=10)",
      [compression, text],
    );
    expect(value).toBe(text);
  });

  test.each(["gzip", "zlib", "brotli"])("%s written by Node is read by Python", async (compression) => {
    const echo = app.remote<(value: string) => string>("demo.echo");
    const result = await echo.applyAsync([text], { compression, queue: "py" });
    expect(await result.get({ timeout: 10 })).toBe(text);
    await echo.applyAsync([text], { compression, queue: `q-${compression}` });
    expect((await stored(`q-${compression}`)).length).toBeLessThan(text.length);
  });

  test.each(["bzip2", "xz"])(
    "%s cannot be written on this Node: refused at the send, by name",
    async (name) => {
      const sent = app.sendTask("demo.echo", [text], { compression: name, queue: "py" });
      await expect(sent).rejects.toMatchObject({ code: "PET_CODEC_UNAVAILABLE" });
      await expect(sent).rejects.toThrow(name === "xz" ? /xz|lzma/ : /bzip2/);
    },
  );

  test("pickle written by Python never runs in Node: the caller gets a FAILURE, the queue goes on", async () => {
    const [state, type, message] = await fleet.python.value<[string, string, string]>(`
      result = add.apply_async((1, 2), serializer="pickle", queue="ts")
      deadline = time.monotonic() + 10
      while not result.ready() and time.monotonic() < deadline:
          time.sleep(0.02)
      return [result.state, type(result.result).__name__, str(result.result)]
    `);
    expect(state).toBe("FAILURE");
    expect(type).toBe("SecurityError");
    expect(message).toContain("pickle");
    expect(await bothWays(fleet)).toEqual(BOTH);
  });

  test("pickle is refused at our send", async () => {
    await expect(app.sendTask("demo.echo", [1], { serializer: "pickle" })).rejects.toThrow(/pickle/);
  });
});

describe.concurrent("settings", () => {
  const VARIANTS: [name: string, config: Record<string, unknown>][] = [
    ["the defaults", {}],
    [
      "global_keyprefix on broker and backend",
      {
        broker_transport_options: { global_keyprefix: "pre:" },
        result_backend_transport_options: { global_keyprefix: "res:" },
      },
    ],
    [
      "another sep and ten priority steps",
      {
        broker_transport_options: { sep: ":", priority_steps: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] },
        task_default_priority: 7,
      },
    ],
    ["queue_order_strategy sorted", { broker_transport_options: { queue_order_strategy: "sorted" } }],
    ["results in msgpack", { result_serializer: "msgpack" }],
    ["results in yaml", { result_serializer: "yaml" }],
    ["msgpack and compression everywhere", { task_serializer: "msgpack", task_compression: "gzip" }],
    ["a time zone, without UTC", { timezone: "Europe/Rome", enable_utc: false }],
    ["a time zone, with UTC", { timezone: "Asia/Kolkata", enable_utc: true }],
    ["extended results", { result_extended: true }],
    ["results that never expire", { result_expires: null }],
  ];

  test.each(VARIANTS)("%s", (_name, config) =>
    withBoth({ config }, async (fleet) => {
      expect(await bothWays(fleet)).toEqual(BOTH);
      expect(await countdownWaits(fleet)).toBe(true);
      const { global_keyprefix: prefix = "" } = (config["broker_transport_options"] ?? {}) as {
        global_keyprefix?: string;
      };
      const { broker } = fleet;
      await eventually(
        "nothing is held any more",
        async () => (await redisCommand(broker, "HLEN", `${prefix}unacked`)) === "0",
      );
    }),
  );

  test("bodies that are not in base64, which Python alone writes", () =>
    withBoth({ pythonOnly: { broker_transport_options: { body_encoding: null } } }, async (fleet) => {
      expect(
        await fleet.python.value("return whoami.apply_async(('to node',), queue='ts').get(timeout=20)"),
      ).toEqual(BOTH[1]);
    }));

  test("protocol 1, which Python alone still writes", () =>
    withBoth({ pythonOnly: { task_protocol: 1 } }, async (fleet) => {
      expect(
        await fleet.python.value("return whoami.apply_async(('to node',), queue='ts').get(timeout=20)"),
      ).toEqual(BOTH[1]);
      expect(await countdownWaits(fleet)).toBe(true);
      await fleet.python.run(`
      add.apply_async((1, 2), queue="ts", link=record.si("v1", "linked").set(queue="py")).get(timeout=10)
    `);
      await eventually("the link ran", async () => (await fleet.seen("v1")).length === 1);
      expect(await fleet.seen("v1")).toEqual([["py", "linked"]]);
    }));

  test("extended results hold the same facts, whoever ran the task", () =>
    withBoth({ config: { result_extended: true } }, async (fleet) => {
      const facts = await fleet.python.value<Record<string, unknown>[]>(`
      out = []
      for queue in ("ts", "py"):
          result = keywords.apply_async((1,), {"third": 3}, queue=queue)
          result.get(timeout=10)
          out.append({
              "name": result.name, "args": result.args, "kwargs": result.kwargs,
              "worker": result.worker, "retries": result.retries, "queue": result.queue,
          })
      return out
    `);
      const same = { name: "demo.keywords", args: [1], kwargs: { third: 3 }, retries: 0 };
      expect(facts[0]).toEqual({ ...same, worker: "ts@test", queue: "ts" });
      expect(facts[1]).toEqual({ ...same, worker: "py@test", queue: "py" });
    }));

  test("STARTED is stored with the worker's name when asked for", () =>
    withBoth({ config: { task_track_started: true } }, async (fleet) => {
      const seen = await fleet.python.value(`
      out = []
      for queue in ("ts", "py"):
          result = hold.apply_async(("gate-" + queue,), queue=queue)
          deadline = time.monotonic() + 10
          while result.state != "STARTED" and time.monotonic() < deadline:
              time.sleep(0.02)
          out.append([result.state, result.info["hostname"], type(result.info["pid"]).__name__])
          app.backend.client.set("gate-" + queue, 1)
          result.get(timeout=10)
      return out
    `);
      expect(seen).toEqual([
        ["STARTED", "ts@test", "int"],
        ["STARTED", "py@test", "int"],
      ]);
    }));
});
