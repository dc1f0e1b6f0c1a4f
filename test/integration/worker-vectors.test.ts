/**
 * What real Python clients sent (`test/vectors`) runs in our worker over a real Redis; what it stores and publishes is
 * compared with what a Python worker stored and published, ids, dates and stacks aside.
 */
import { Redis } from "ioredis";
import { Celery, Ignore, Reject } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import {
  fieldsOf,
  type Json,
  pythonError,
  type Trace,
  text,
  traceOf,
  vectors,
  withoutIds,
} from "./vector-trace.ts";

/** States that others follow. */
const ON_THE_WAY: ReadonlySet<string> = new Set(["STARTED", "PROGRESS", "RETRY"]);

function define(app: Celery): void {
  const add = app.task("vt.add", (x: number, y: number) => x + y);
  app.task("vt.ident", (x: unknown) => x as null);
  app.task("vt.noresult", { ignoreResult: true }, (_x: unknown) => null);
  app.task("vt.fail", (..._args: unknown[]): null => {
    throw pythonError("MyError", "vt", "boom", 42);
  });
  app.task("vt.fail_value", (): null => {
    throw new RangeError("deliberate error");
  });
  app.task("vt.progress", { bind: true }, async (task) => {
    await task.updateState("PROGRESS", { current: 50, total: 100 });
    return "done";
  });
  app.task("vt.sleeper", { trackStarted: true }, async (seconds: number) => {
    await new Promise((resolve) => setTimeout(resolve, seconds * 20));
    return seconds;
  });
  app.task("vt.retry_once", { bind: true }, (task, x: number) => {
    if (task.request.retries === 0) throw task.retry({ cause: new RangeError("try again"), countdown: 0.05 });
    return x;
  });
  app.task(
    "vt.autoretry",
    { autoretryFor: [RangeError], maxRetries: 1, defaultRetryDelay: 0.05 },
    (): null => {
      throw new RangeError("auto");
    },
  );
  app.task("vt.rejected", { acksLate: true }, (): null => {
    throw new Reject("no");
  });
  app.task("vt.rejected_requeue", { bind: true, acksLate: true }, (task) => {
    const { exchange, routingKey, priority, redelivered } = task.request.deliveryInfo;
    if (!redelivered) throw new Reject("again", { requeue: true });
    return { exchange, routing_key: routingKey, priority, redelivered };
  });
  app.task("vt.ignored", (): null => {
    throw new Ignore();
  });
  app.task("vt.softlimit", () => new Promise<null>(() => {}));
  app.task("vt.hardlimit", () => new Promise<null>(() => {}));
  app.task("vt.errback1", (id: string) => id);
  app.errback("vt.errback3", () => {});
  app.task("vt.spawn", async (): Promise<never> => (await add.delay(1, 1)) as never);
  app.task("vt.late", { acksLate: true }, (seconds: number) => seconds);
  app.task(
    "vt.req_info",
    { bind: true },
    ({ request }) =>
      ({
        id: request.id,
        root_id: request.rootId,
        parent_id: request.parentId,
        group: request.groupId,
        group_index: request.groupIndex,
        retries: request.retries,
        delivery_info: {
          exchange: request.deliveryInfo.exchange,
          routing_key: request.deliveryInfo.routingKey,
          priority: request.deliveryInfo.priority,
          redelivered: request.deliveryInfo.redelivered,
        },
        reply_to: request.replyTo,
        correlation_id: request.correlationId,
        hostname: request.hostname,
        timelimit: [request.timeLimit, request.softTimeLimit],
        origin: request.origin,
        stamped_headers: request.stampedHeaders.length === 0 ? null : [...request.stampedHeaders],
        stamps: { ...request.stamps },
        headers: Object.keys(request.headers).length === 0 ? null : { ...request.headers },
      }) as never,
  );
}

let redis: RedisServer;
let monitor: Redis;
let subscriber: Redis;
let client: Redis;
/** LPUSH of messages by MONITOR; results by their channels, which carry what is stored. */
let seen: (readonly string[])[] = [];
let app: Celery;
let worker: Worker;

beforeAll(async () => {
  redis = await startRedis();
  client = new Redis(redis.port);
  monitor = await new Redis(redis.port).monitor();
  monitor.on("monitor", (_time: string, args: readonly string[]) => {
    if (args[0]?.toUpperCase() === "LPUSH") seen.push(args);
  });
  subscriber = new Redis(redis.port);
  await subscriber.psubscribe("celery-task-meta-*");
  subscriber.on("pmessage", (_pattern: string, key: string, meta: string) =>
    seen.push(["SETEX", key, "0", meta]),
  );
});
beforeEach(async () => {
  await client.flushall();
  seen = [];
  app = new Celery("vt", {
    brokerUrl: `${redis.url}/0`,
    resultBackend: `${redis.url}/1`,
    logger: silentLogger,
  });
  define(app);
  worker = new Worker(app, { concurrency: 4 });
  await worker.start();
});
afterEach(async () => {
  await worker.stop({ how: "cold" });
  await app.close();
});
afterAll(async () => {
  monitor.disconnect();
  subscriber.disconnect();
  client.disconnect();
  await redis.stop();
});

const metaOf = async (id: string): Promise<Json | null> => {
  await client.select(1);
  const stored = await client.get(`celery-task-meta-${id}`);
  await client.select(0);
  return stored === null ? null : (JSON.parse(stored) as Json);
};

/** Nothing waits, and nothing is held. */
async function settled(): Promise<void> {
  await eventually("all messages are settled", async () => {
    const [waiting, held] = await Promise.all([client.llen("celery"), client.hlen("unacked")]);
    return waiting === 0 && held === 0 && worker.active === 0;
  });
}

describe("what a Python worker stored and published, ours does", () => {
  const execution = vectors("execution");
  /** Alike in every field. Where ours is meant to differ there is a test of its own below. */
  const sameAsPython = [
    "success",
    "success_none",
    "ignore_result",
    "failure_custom_exc",
    "failure_valueerror",
    "unknown_task",
    "progress_custom_state",
    "track_started",
    "ignore_exc",
    "soft_time_limit",
    "link_success",
    "link_two",
    "link_error_old_style",
    "link_error_new_style",
    "children_spawn",
    "chain3",
    "chain_failure_middle",
    "expired",
    "late_ack",
    "gzip_exec",
    "countdown_exec",
    "reject_requeue",
  ];

  /** `stored`: tasks of which ours stores a state; default as many as Python. */
  async function replay(name: string, stored?: number): Promise<{ ours: Trace; theirs: Trace }> {
    const commands = execution.get(name)?.commands.map((one) => one.cmd) ?? [];
    // A compressed body is not to be read here; nothing but the client's message is sent either.
    const isCompressed = name === "gzip_exec";
    const theirs = traceOf(commands.filter(([one]) => !isCompressed || one !== "LPUSH"));
    const first = commands.find(([one, key]) => one === "LPUSH" && text(key).startsWith("celery"));
    const raw = text(first?.[2]).replaceAll(
      "2026-11-21T00:58:24.933990+00:00",
      new Date(Date.now() + 100).toISOString(),
    );
    await client.lpush(text(first?.[1]), raw);
    const ends = Object.keys(theirs.metas);
    const ours = await eventually(`${name} is over`, async () => {
      await settled();
      const trace = traceOf(seen.filter(([one]) => !isCompressed || one?.toUpperCase() !== "LPUSH"));
      // What was settled may still be on its way to those who listen.
      const states = Object.values(trace.metas).map((metas) => String(metas.at(-1)?.["status"]));
      const all = states.length >= (stored ?? ends.length) && !states.some((one) => ON_THE_WAY.has(one));
      return all && trace.messages.length >= theirs.messages.length ? trace : undefined;
    });
    return { ours, theirs };
  }

  test.each(sameAsPython)("%s", async (name) => {
    const { ours, theirs } = await replay(name);
    expect(withoutIds(ours)).toEqual(withoutIds(theirs));
  });

  test("retry, but for the parent: Python makes a task its own, ours keeps the one it had", async () => {
    for (const name of ["retry", "autoretry_exhausted"]) {
      seen = [];
      const { ours, theirs } = await replay(name);
      const fix = ({ messages, metas }: Trace): unknown => {
        const [sent, again] = messages;
        const { origin: _, ...properties } = fieldsOf(again, "properties");
        const headers = { ...fieldsOf(again, "headers"), parent_id: null };
        const own = Object.values(metas)
          .flat()
          .map(({ parent_id: __, ...meta }) =>
            meta["status"] === "RETRY" ? { ...meta, children: [] } : meta,
          );
        return withoutIds({ messages: [sent ?? {}, { ...again, headers, properties }], metas: { own } });
      };
      expect(fix(ours)).toEqual(fix(theirs));
      expect(fieldsOf(ours.messages[1], "headers")["parent_id"]).toBeNull();
    }
  });

  test("hard_time_limit, but stored once", async () => {
    const { ours, theirs } = await replay("hard_time_limit");
    const [twice] = Object.entries(theirs.metas).map(([id, metas]) => ({ [id]: metas.slice(0, 1) }));
    expect(withoutIds(ours)).toEqual(withoutIds({ messages: theirs.messages, metas: twice ?? {} }));
  });

  test("reject, but with a state: Python leaves its caller in the dark", async () => {
    const { ours, theirs } = await replay("reject", 1);
    expect(theirs.metas).toEqual({});
    expect(Object.values(ours.metas).flat()).toMatchObject([
      { status: "REJECTED", result: "no", date_done: null },
    ]);
  });

  test("request_fields and stamped: what a task sees of its message", async () => {
    for (const name of ["request_fields", "stamped"]) {
      seen = [];
      const { ours, theirs } = await replay(name);
      const [[our], [their]] = [Object.values(ours.metas).flat(), Object.values(theirs.metas).flat()];
      const { properties: _, ...wanted } = fieldsOf(their, "result");
      expect(our?.["result"]).toEqual({ ...wanted, hostname: worker.hostname });
    }
  });

  test("disallowed_content_type_pickle, but with a result: Python's caller waits for ever", async () => {
    const lpush = execution
      .get("disallowed_content_type_pickle")
      ?.commands.find((one) => one.cmd[0] === "LPUSH");
    await client.lpush("celery", text(lpush?.cmd[2]));
    await eventually("a failure is stored", async () => (await metaOf("p1"))?.["status"] === "FAILURE");
    expect((await metaOf("p1"))?.["result"]).toMatchObject({ exc_type: "SecurityError" });
    await settled();
    expect(await client.llen("celery.dead")).toBe(1);
  });
});

describe("malformed messages, each of which a Python worker drops or dies of", () => {
  const poison = vectors("poison");
  const DEAD = "dead";
  const outcomes: Readonly<Record<string, "SUCCESS" | "FAILURE" | "dead">> = {
    delivery_info_without_exchange: "SUCCESS",
    no_delivery_info: "FAILURE",
    no_delivery_tag: "FAILURE",
    no_properties: "FAILURE",
    not_json: DEAD,
    json_number: DEAD,
    no_headers: DEAD,
    headers_null: DEAD,
    no_id_header: "FAILURE",
    no_body_encoding_plain_body: "SUCCESS",
    unknown_body_encoding: "FAILURE",
    no_content_type: "FAILURE",
    body_two_elements: "FAILURE",
    embed_null: "SUCCESS",
    bad_eta: "FAILURE",
    eta_number: "FAILURE",
    eta_Z_millis: "SUCCESS",
    timelimit_missing_ok: "SUCCESS",
    kwargs_null: "FAILURE",
    id_not_string: DEAD,
    extra_unknown_headers: "SUCCESS",
  };

  test("are all known here", () => {
    expect(Object.keys(outcomes).sort()).toEqual([...poison.keys()].sort());
  });

  test.each(Object.entries(outcomes))("%s: %s, and the next message runs", async (name, outcome) => {
    const [, raw = ""] = /^LPUSH celery (.*)$/s.exec(poison.get(name)?.how ?? "") ?? [];
    await client.lpush("celery", raw);
    const add = app.tasks.get("vt.add") as unknown as {
      delay(x: number, y: number): Promise<{ get(o: object): Promise<number> }>;
    };
    expect(await (await add.delay(1, 1)).get({ timeout: 10 })).toBe(2);
    await settled();
    const buried = await client.llen("celery.dead");
    expect(buried).toBe(outcome === "SUCCESS" ? 0 : 1);
    const stored = await eventually("its state is stored", async () =>
      outcome === DEAD ? {} : ((await metaOf("x1")) ?? undefined),
    );
    expect(stored["status"] ?? DEAD).toBe(outcome);
    expect(worker.state).toBe("running");
  });
});

test("the smallest message, protocol 1, and a message that is no task", async () => {
  const envelope = (headers: Json, body: unknown, id: string): string =>
    JSON.stringify({
      body: Buffer.from(JSON.stringify(body)).toString("base64"),
      "content-encoding": "utf-8",
      "content-type": "application/json",
      headers,
      properties: {
        correlation_id: id,
        delivery_info: { exchange: "", routing_key: "celery" },
        delivery_tag: `tag-${id}`,
        body_encoding: "base64",
      },
    });
  await client.lpush(
    "celery",
    envelope({ task: "vt.add", id: "min1", lang: "js" }, [[1, 2], {}, null], "min1"),
  );
  const one = {
    task: "vt.add",
    id: "v1a",
    args: [1, 2],
    kwargs: {},
    retries: 0,
    eta: null,
    expires: null,
    utc: true,
    timelimit: [null, null],
  };
  await client.lpush("celery", envelope({}, one, "v1a"));
  await client.lpush("celery", envelope({}, "hello", "x"));
  await settled();
  await eventually(
    "both are stored",
    async () => (await metaOf("min1")) !== null && (await metaOf("v1a")) !== null,
  );
  for (const id of ["min1", "v1a"]) expect(await metaOf(id)).toMatchObject({ status: "SUCCESS", result: 3 });
  expect(await client.llen("celery.dead")).toBe(1);
});
