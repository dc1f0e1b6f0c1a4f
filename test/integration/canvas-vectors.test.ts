/**
 * Canvases that real Python clients sent run in our worker over a real Redis: what it stores and publishes is compared with
 * what a Python worker stored and published, ids, dates and stacks aside.
 */
import { Redis } from "ioredis";
import { Celery, group } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { type Json, type Trace, text, traceOf, vectors, withoutIds } from "./vector-trace.ts";

const execution = vectors("execution");
const extra = vectors("extra");

let redis: RedisServer;
let client: Redis;
let monitor: Redis;
let subscriber: Redis;
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
  worker = new Worker(app, { concurrency: 1 });
});
afterEach(async () => {
  await worker.stop({ how: "cold" });
  await app.close();
});
afterAll(async () => {
  for (const one of [monitor, subscriber, client]) one.disconnect();
  await redis.stop();
});

function define(one: Celery): void {
  const add = one.task("vt.add", (x: number, y: number) => x + y);
  one.task("vt.tsum", (numbers: number[]) => numbers.reduce((sum, each) => sum + each, 0));
  one.task("vt.ident", (value: unknown) => value as null);
  one.task("vt.fail_value", (): null => {
    throw new RangeError("deliberate error");
  });
  one.task("vt.errback1", (id: string) => id);
  one.task("vt.spawn_group", async () => (await group([add.s(1, 1), add.s(2, 2)]).delay()) as never);
  one.task("vt.replaced", { bind: true }, (task, x: number) => task.replace(add.s(x, 10)));
  one.task("vt.replaced_group", { bind: true }, (task, x: number) =>
    task.replace(group([add.s(x, 1), add.s(x, 2)])),
  );
}

/** Alike in every message and every state. */
const SAME: readonly string[] = [
  "group",
  "chord",
  "chord_header_failure",
  "chord_with_errback",
  "chord_in_chord",
  "chord_body_group",
  "chunks",
  "map",
  "starmap",
  "children_spawn_group",
  "replace_task",
  "replace_group",
];

/** Pushes what the client pushed, and waits for as many states as Python stored. */
async function replay(name: string): Promise<{ ours: Trace; theirs: Trace }> {
  const entry = execution.get(name) ?? extra.get(name);
  if (entry === undefined) throw new Error(name);
  const results = new Redis(redis.port, { db: 1 });
  for (const { cmd } of entry.commands) {
    if (cmd[0] === "LPUSH" && isClients(text(cmd[2]))) await client.lpush(text(cmd[1]), text(cmd[2]));
    if (cmd[0] === "SETEX" && text(cmd[1]).endsWith(".s"))
      await results.setex(text(cmd[1]), 1000, text(cmd[3]));
    if (cmd[0] === "SETEX" && /^celery-taskset-meta-[-0-9a-f]+$/u.test(text(cmd[1])))
      await results.setex(text(cmd[1]), 1000, text(cmd[3]));
  }
  results.disconnect();
  const theirs = traceOf(entry.commands.map(({ cmd }) => cmd));
  await worker.start();
  const wanted = Object.values(theirs.metas).flat().length;
  const ours = await eventually(`${name} is over`, async () => {
    const trace = traceOf(seen);
    const isOver = worker.active === 0 && (await client.llen("celery")) === 0;
    return isOver && Object.values(trace.metas).flat().length >= wanted ? trace : undefined;
  });
  return { ours, theirs };
}

/** What has a parent a worker has sent. */
function isClients(message: string): boolean {
  const { headers } = JSON.parse(message) as { readonly headers: Json };
  return headers["parent_id"] === null && headers["retries"] === 0;
}

/** In the order of the ids, without what only Python writes and nobody reads. */
function comparable({ messages, metas }: Trace): unknown {
  const lean = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(lean);
    if (typeof value !== "object" || value === null) return value;
    const copy = Object.fromEntries(Object.entries(value).map(([key, one]) => [key, lean(one)]));
    if (!("subtask_type" in copy)) return copy;
    const options = Object.entries(copy["options"] as Json).filter(
      ([key, one]) => one !== null && key !== "add_to_parent" && key !== "reply_to",
    );
    return { ...copy, options: Object.fromEntries(options) };
  };
  // Python's notes the errbacks as children of a body that failed.
  const states = Object.entries(metas).map(([id, all]) => [
    id,
    all.map((one) => (text(one["result"]).includes("ChordError") ? { ...one, children: [] } : one)),
  ]);
  return withoutIds({
    messages: lean(messages) as Json[],
    metas: Object.fromEntries(states) as Record<string, Json[]>,
  });
}

test.each(SAME)("%s", async (name) => {
  const { ours, theirs } = await replay(name);
  expect(comparable(ours)).toEqual(comparable(theirs));
});

// Here the order in which tasks ran in parallel shows, or what only Python does with a group in a header.
test.each([
  "chord_of_chains",
  "chord_nested_group_saved",
  "chord_header_group_saved",
  "chord_unordered_list",
])("%s: the last task gets what Python's got", async (name) => {
  const { ours, theirs } = await replay(name);
  const last = ({ messages, metas }: Trace): unknown => {
    const body = messages.at(-1) as { readonly headers: Json; readonly body: readonly unknown[] };
    const [given] = body.body[0] as readonly [unknown];
    const values = name === "chord_unordered_list" ? (given as number[]).toSorted((a, b) => a - b) : given;
    return [values, Object.values(metas).flat().length];
  };
  expect(last(ours)).toEqual(last(theirs));
});
