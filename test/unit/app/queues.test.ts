import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Config } from "../../../src/app/config.ts";
import { type Destination, type DestinationOptions, Queues } from "../../../src/app/queues.ts";
import { Router } from "../../../src/app/routes.ts";
import type { Settings } from "../../../src/app/settings-types.ts";
import { camelKeys } from "../../../src/base/case.ts";
import { ImproperlyConfigured, QueueNotFound } from "../../../src/errors.ts";

const queuesOf = (settings: object = {}): Queues => new Queues(new Config(settings, { env: {} }).resolve());
const names = (queues: readonly { readonly name: string }[]): readonly string[] =>
  queues.map(({ name }) => name);

describe("the queues of an app", () => {
  test("are the default queue alone, without taskQueues", () => {
    expect(queuesOf().consumed([], [])).toEqual([
      { name: "celery", exchange: "celery", type: "direct", routingKey: "celery" },
    ]);
    expect(queuesOf({ taskDefaultQueue: "jobs" }).consumed([], [])).toEqual([
      { name: "jobs", exchange: "jobs", type: "direct", routingKey: "jobs" },
    ]);
    expect(queuesOf({ taskQueues: [] }).names()).toEqual(["celery"]);
  });

  test("take what they leave out from the default exchange, as kombu's Queue", () => {
    const queues = queuesOf({
      taskQueues: ["plain", { name: "own", exchange: "x" }, { name: "cast", exchangeType: "fanout" }],
      taskDefaultExchange: "shop",
      taskDefaultExchangeType: "topic",
      taskDefaultRoutingKey: "task.default",
    });
    expect(queues.consumed([], [])).toEqual([
      { name: "plain", exchange: "shop", type: "topic", routingKey: "task.default" },
      { name: "own", exchange: "x", type: "direct", routingKey: "task.default" },
      { name: "cast", exchange: "cast", type: "fanout", routingKey: "task.default" },
    ]);
  });

  test("that are not known are made at their first use, with an exchange of their own", () => {
    expect(queuesOf().get("new")).toEqual({
      name: "new",
      exchange: "new",
      type: "direct",
      routingKey: "new",
    });
    expect(queuesOf({ taskCreateMissingQueueExchangeType: "topic" }).get("new").type).toBe("topic");
    const queues = queuesOf();
    expect(queues.has("new")).toBe(false);
    expect(queues.get("new")).toBe(queues.get("new"));
    expect(queues.has("new")).toBe(true);
  });

  test("are not made with taskCreateMissingQueues off: the error names the ones there are", () => {
    const queues = queuesOf({ taskCreateMissingQueues: false, taskQueues: ["a", "b"] });
    expect(() => queues.get("new")).toThrow(QueueNotFound);
    expect(() => queues.get("new")).toThrow(/"new" is not in taskQueues \(a, b\)/);
    expect(() => queues.destination({ queue: "new" }, null)).toThrow(QueueNotFound);
    expect(() => queues.destination({}, null)).toThrow(/"celery" is not in taskQueues/);
    expect(() => queues.consumed(["new"], [])).toThrow(QueueNotFound);
  });

  test("share exchanges of one type only", () => {
    expect(() =>
      queuesOf({
        taskQueues: [
          { name: "a", exchange: "x" },
          { name: "b", exchange: "x", exchangeType: "topic" },
        ],
      }),
    ).toThrow(/exchange "x" is direct for queue "a" and topic for queue "b"/);
  });

  test.each([[""], ["a\u0006\u0016b"], ["a\nb"], ["x".repeat(256)], ["\ud800"]])(
    "cannot be called %j",
    (name) => {
      expect(() => queuesOf().get(name)).toThrow(ImproperlyConfigured);
      expect(() => queuesOf({ taskQueues: [{ name }] })).toThrow(ImproperlyConfigured);
    },
  );

  test.each([["a b"], ["höhe"], ["a.b:c/d"], ["x".repeat(255)], ["__proto__"]])(
    "may be called %j",
    (name) => {
      expect(queuesOf().destination({ queue: name }, null).routingKey).toBe(name);
    },
  );

  test("added later are consumed, and replace one that routing had made", () => {
    const queues = queuesOf();
    expect(queues.destination({ queue: "late" }, null).exchange).toBe("");
    queues.add({ name: "late", exchange: "x", exchangeType: "topic", routingKey: "late.#" });
    expect(queues.destination({ queue: "late" }, null)).toMatchObject({
      exchange: "x",
      routingKey: "late.#",
    });
    expect(names(queues.consumed([], []))).toEqual(["celery", "late"]);
  });

  test("that routing makes do not fill the memory", () => {
    const queues = queuesOf();
    for (let index = 0; index < 25_000; index += 1) queues.destination({ queue: `q${index}` }, null);
    expect(queues.has("q1")).toBe(false);
    expect(queues.has("q24999")).toBe(true);
    expect(queues.destination({ queue: "q1" }, null).routingKey).toBe("q1");
  });
});

describe("what a worker consumes", () => {
  const queues = (): Queues => queuesOf({ taskQueues: ["a", "b", "a.dead"] });

  test("is every known queue but the dead lists and those that routing made", () => {
    const made = queues();
    made.get("new");
    expect(names(made.consumed([], []))).toEqual(["a", "b"]);
  });

  test("-Q names them, once each, in its order; unknown ones are made, dead lists taken when named", () => {
    expect(names(queues().consumed(["new", "b", "a.dead", "b"], []))).toEqual(["new", "b", "a.dead"]);
  });

  test("-X leaves some out, of all or of those of -Q", () => {
    expect(names(queues().consumed([], ["a"]))).toEqual(["b"]);
    expect(names(queues().consumed(["new", "b"], ["new"]))).toEqual(["b"]);
  });

  test("-X of a queue that nobody knows is a mistake that is said", () => {
    expect(() => queues().consumed([], ["c"])).toThrow(/"c" is to be left out, and is not among "a", "b"/);
  });

  test("nothing left is an error", () => {
    expect(() => queues().consumed([], ["a", "b"])).toThrow(/no queue is left to consume/);
    expect(() => queues().consumed(["a"], ["a"])).toThrow(/no queue is left/);
  });
});

describe("where a message goes", () => {
  test("straight to a direct queue, whatever exchange it is bound to", () => {
    const destination: Destination = queuesOf({
      taskQueues: [{ name: "a", exchange: "x", routingKey: "k" }],
    }).destination({ queue: "a" }, null);
    expect(destination).toEqual({
      exchange: "",
      type: "direct",
      routingKey: "a",
      queue: "a",
      declaration: { name: "a", exchange: "x", type: "direct", routingKey: "k" },
    });
  });

  test("the same object each time, for sends that name at most a queue", () => {
    const queues = queuesOf();
    expect(queues.destination({}, null)).toBe(queues.destination({ queue: "celery" }, null));
    expect(queues.destination({}, { queue: "low" })).toBe(
      queues.destination({ queue: "low", exchange: null }, null),
    );
  });

  test("options win over the route, name by name", () => {
    const queues = queuesOf({
      taskQueues: ["celery", { name: "media", exchange: "m", exchangeType: "topic", routingKey: "m.#" }],
    });
    expect(queues.destination({ routingKey: "m.2" }, { queue: "media", routingKey: "m.1" })).toMatchObject({
      exchange: "m",
      type: "topic",
      routingKey: "m.2",
    });
    expect(queues.destination({ queue: "celery" }, { queue: "media" })).toMatchObject({
      exchange: "",
      routingKey: "celery",
    });
  });

  test("to an exchange by name, with its type where a queue has it", () => {
    const queues = queuesOf({
      taskQueues: ["celery", { name: "cast", exchange: "c", exchangeType: "fanout" }],
    });
    expect(queues.destination({ exchange: "c", routingKey: "r" }, null)).toEqual({
      exchange: "c",
      type: "fanout",
      routingKey: "r",
      queue: null,
      declaration: null,
    });
    expect(queues.destination({ exchange: "other", routingKey: "r" }, null).type).toBe("direct");
    expect(queues.destination({ exchange: "other", routingKey: "r", exchangeType: "topic" }, null).type).toBe(
      "topic",
    );
    expect(() => queues.destination({ exchange: "other", exchangeType: "headers" }, null)).toThrow(
      /"headers" is not one of/,
    );
  });

  test("a broadcast is not declared by its sender", () => {
    const queues = queuesOf({ taskQueues: [{ name: "cast", exchangeType: "fanout" }] });
    expect(queues.destination({ queue: "cast" }, null)).toEqual({
      exchange: "cast",
      type: "fanout",
      routingKey: "celery",
      queue: "cast",
      declaration: null,
    });
  });

  test("the empty exchange with a routing key is the queue of that name", () => {
    expect(queuesOf().destination({ exchange: "", routingKey: "low" }, null)).toMatchObject({
      exchange: "",
      routingKey: "low",
    });
    expect(queuesOf().destination({ exchange: "", routingKey: "low", queue: "high" }, null).routingKey).toBe(
      "high",
    );
  });
});

describe("beside Celery", () => {
  type Outcome = string | readonly [string, string | null, readonly [string, string, string, string] | null];
  type Case = readonly [
    queues: string,
    other: number,
    routes: string,
    task: string,
    option: number,
    outcome: Outcome,
  ];
  const vectors = JSON.parse(
    readFileSync(new URL("../../vectors/celery-routing.json", import.meta.url), "utf8"),
  ) as {
    readonly queues: Readonly<Record<string, unknown>>;
    readonly other: readonly Record<string, unknown>[];
    readonly routes: Readonly<Record<string, unknown>>;
    readonly options: readonly Record<string, unknown>[];
    readonly cases: readonly Case[];
  };

  /** `{"re": "…"}` as a regular expression, anchored as Python's `match` is (the patterns begin with ^). */
  function withExpressions(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((one) => withExpressions(one));
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value);
    const [first] = entries;
    if (first?.[0] === "re" && typeof first[1] === "string") return new RegExp(first[1]);
    return Object.fromEntries(entries.map(([key, one]) => [key, withExpressions(one)]));
  }

  function ours([queues, other, routes, task, option]: Case): Destination | string {
    try {
      const conf = new Config(
        {
          taskQueues: vectors.queues[queues],
          taskRoutes: withExpressions(vectors.routes[routes]),
          ...vectors.other[other],
        } as Settings,
        { env: {} },
      ).resolve();
      const options = camelKeys(vectors.options[option] ?? {}) as DestinationOptions;
      const route = new Router(conf.taskRoutes).route(task, { args: [], kwargs: {}, options: {} });
      return new Queues(conf).destination(options, route);
    } catch (error) {
      return (error as Error).constructor.name;
    }
  }

  /** How ours compares with Celery's answer. */
  function compared(one: Case): "same" | "lost" | "lenient" | "different" {
    const outcome = one[5];
    const destination = ours(one);
    // Celery also looks up the queue of a route that the options override, and the default queue beside an exchange.
    if (typeof outcome === "string") return typeof destination === "string" ? "same" : "lenient";
    if (typeof destination === "string") return "different";
    const [exchange, routingKey, declared] = outcome;
    // An exchange without a routing key: Celery publishes with none, and the message is lost. Ours has one.
    if (routingKey === null) return destination.routingKey === "" ? "different" : "lost";
    if (destination.exchange !== exchange || destination.routingKey !== routingKey) return "different";
    const { declaration } = destination;
    if (declaration === null) return "same";
    const { name, exchange: bound, type, routingKey: key } = declaration;
    return JSON.stringify([name, bound, type, key]) === JSON.stringify(declared) ? "same" : "different";
  }

  test("the same settings and options lead to the same exchange, routing key and queue", () => {
    const count = { same: 0, lost: 0, lenient: 0, different: 0 };
    const different: Case[] = [];
    for (const one of vectors.cases) {
      const how = compared(one);
      count[how] += 1;
      if (how === "different") different.push(one);
    }
    expect(different).toEqual([]);
    // A change of these numbers is a change of behaviour.
    expect(count).toEqual({ same: 2531, lost: 105, lenient: 48, different: 0 });
  });
});
