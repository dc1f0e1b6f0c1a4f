/**
 * What strangers may put into the broker: remote control messages, events and tasks with absurd types, huge numbers, names of
 * prototypes, deep nesting. The worker, a process of its own, lives on, answers, runs tasks, and keeps its memory and its
 * prototypes.
 */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { Redis } from "ioredis";
import type { Celery } from "petiole";
import { Celery as App } from "petiole";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { seed } from "../support/seed.ts";
import { CliProcess, makeProject, type Project, petiole } from "./cli-support.ts";

const NODE = "w@hostile";
const GROW_MB = 80;
const RUNS = 100;
const AT_ONCE = 20;

const TASKS = `
import { Celery } from ${petiole};
const own = Object.getOwnPropertyNames(Object.prototype).join() + Object.getOwnPropertyNames(Array.prototype).join();
export const app = new Celery("hostile");
export const add = app.task("h.add", (x, y) => x + y);
export const echo = app.task("h.echo", (value) => value);
export const clean = app.task("h.clean", () => {
  const now = Object.getOwnPropertyNames(Object.prototype).join() + Object.getOwnPropertyNames(Array.prototype).join();
  return now === own && {}.polluted === undefined;
});
`;

let server: RedisServer;
let redis: Redis;
let project: Project;
let worker: CliProcess;
let app: Celery;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.port, "127.0.0.1");
  project = makeProject();
  project.write("tasks.mjs", TASKS);
  const [broker, backend] = [`${server.url}/0`, `${server.url}/1`];
  worker = new CliProcess(["-A", "tasks.mjs", "worker", "-n", NODE, "-c", "4", "-E", "-l", "error"], {
    cwd: project.dir,
    env: { CELERY_BROKER_URL: broker, CELERY_RESULT_BACKEND: backend },
  });
  app = new App("client", { brokerUrl: broker, resultBackend: backend, logger: silentLogger });
  await eventually("the worker answers", async () => (await app.control.ping({ timeout: 0.5 }))[NODE], {
    timeoutMs: 30_000,
  });
}, 60_000);

afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.ended;
  await app.close();
  redis.disconnect();
  await server.stop();
  project.remove();
});

/** Text of JSON: what `JSON.stringify` cannot write, too. */
const absurd: fc.Arbitrary<string> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    "1e400",
    "-1e400",
    "NaN",
    "Infinity",
    "-0",
    "9007199254740993",
    "9".repeat(5_000),
    "0.".concat("1".repeat(2_000)),
    '"__proto__"',
    '"constructor"',
    '"toString"',
    '"hasOwnProperty"',
    '"\\ud800"',
    '"\\u0000"',
    JSON.stringify("x".repeat(200_000)),
    '{"__proto__": {"polluted": true}}',
    '{"constructor": {"prototype": {"polluted": true}}}',
    '{"__type__": "datetime", "__value__": "never"}',
    '{"__type__": "decimal", "__value__": {"__proto__": null}}',
    '{"__type__": "__proto__", "__value__": 1}',
    `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
    `${'{"a":'.repeat(2_000)}1${"}".repeat(2_000)}`,
    `[${"0,".repeat(20_000)}0]`,
    "null",
    "true",
    "[]",
    "{}",
    '""',
    "-1",
  ),
);

/** An object of JSON with some of its values replaced, left out or joined by others. */
const mutated = (fields: Readonly<Record<string, unknown>>): fc.Arbitrary<string> =>
  mutatedTexts(
    Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, JSON.stringify(value)])),
  );

/** The same, of values in JSON. */
function mutatedTexts(fields: Readonly<Record<string, string>>): fc.Arbitrary<string> {
  const names = Object.keys(fields);
  const strange = fc.constantFrom("__proto__", "constructor", "prototype", "then", "toJSON", "length", "");
  const change = fc.tuple(fc.oneof(fc.constantFrom(...names), fc.constantFrom(...names), strange), absurd);
  return fc.tuple(fc.array(change, { maxLength: 3 }), fc.subarray(names)).map(([changes, left]) => {
    const texts = new Map(Object.entries(fields));
    if (changes.length === 0) for (const name of left.slice(0, 2)) texts.delete(name);
    for (const [name, text] of changes) texts.set(name, text);
    return `{${[...texts].map(([name, text]) => `${JSON.stringify(name)}: ${text}`).join(", ")}}`;
  });
}

const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** The envelope around a body; sometimes it is the envelope that is absurd. */
function enveloped(body: fc.Arbitrary<string>, headers: fc.Arbitrary<string>): fc.Arbitrary<string> {
  const properties = {
    body_encoding: "base64",
    correlation_id: "c",
    delivery_info: { exchange: "", routing_key: "celery" },
    delivery_mode: 2,
    delivery_tag: "t",
    priority: 0,
    reply_to: "r",
  };
  const whole = fc
    .tuple(body, headers)
    .map(
      ([text, head]) =>
        `{"body": "${base64(text)}", "content-encoding": "utf-8", "content-type": "application/json", "headers": ${head}, "properties": ${JSON.stringify({ ...properties, delivery_tag: crypto.randomUUID() })}}`,
    );
  const crooked = fc.tuple(body, headers).chain(([text, head]) =>
    mutatedTexts({
      body: JSON.stringify(base64(text)),
      "content-encoding": '"utf-8"',
      "content-type": '"application/json"',
      headers: head,
      properties: JSON.stringify(properties),
    }),
  );
  return fc.oneof(
    { weight: 3, arbitrary: whole },
    { weight: 1, arbitrary: crooked },
    { weight: 1, arbitrary: absurd },
  );
}

/** All but those that are to end the worker, or to take its slots or its queue from it. */
const METHODS = (
  "active active_queues add_consumer clock conf disable_events election enable_events heartbeat hello memdump memsample ping " +
  "query_task rate_limit registered report reserved revoke revoke_by_stamped_headers revoked scheduled stats terminate " +
  "time_limit autoscale objgraph __proto__ constructor toString"
).split(" ");

const request = fc.constantFrom(...METHODS).chain((method) =>
  mutated({
    method,
    arguments: {},
    destination: null,
    pattern: null,
    matcher: null,
    ticket: "t",
    reply_to: { exchange: "reply.celery.pidbox", routing_key: "nobody" },
  }),
);
const withArguments = fc.constantFrom(...METHODS).chain((method) =>
  mutated({
    task_id: "a",
    task_name: "h.add",
    rate_limit: "1/s",
    soft: 1,
    hard: 2,
    queue: "other",
    exchange: null,
    ids: ["a"],
    id: "e",
    topic: "task",
    action: { task: "h.add", args: [1, 2], kwargs: {}, options: {} },
    headers: { a: "b" },
    from_node: "x@y",
    revoked: {},
    with_defaults: true,
    max: 3,
    min: 1,
  }).map((all) => `{"method": ${JSON.stringify(method)}, "arguments": ${all}, "destination": null}`),
);

const event = mutated({
  type: "worker-heartbeat",
  hostname: "x@y",
  timestamp: 1_700_000_000.5,
  utcoffset: 0,
  pid: 1,
  clock: 5,
  freq: 2,
  active: 0,
  processed: 0,
  loadavg: [0, 0, 0],
  sw_ident: "py-celery",
  sw_ver: "5.6.3",
  sw_sys: "Linux",
  id: "e",
  topic: "task",
  action: {},
  cver: 1,
});
const EVENT_KEYS = [
  "worker.heartbeat",
  "worker.online",
  "worker.offline",
  "worker.elect",
  "worker.elect.ack",
];

const headers = mutated({
  lang: "py",
  task: "h.add",
  id: "11111111-1111-4111-8111-111111111111",
  shadow: null,
  eta: null,
  expires: null,
  group: null,
  group_index: null,
  retries: 0,
  timelimit: [null, null],
  root_id: "11111111-1111-4111-8111-111111111111",
  parent_id: null,
  argsrepr: "(1, 2)",
  kwargsrepr: "{}",
  origin: "gen1@host",
  ignore_result: false,
  stamped_headers: null,
  stamps: {},
});
const body = fc.oneof(
  fc.constant('[[1, 2], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'),
  fc.tuple(absurd, absurd, absurd).map(([args, kwargs, embed]) => `[${args}, ${kwargs}, ${embed}]`),
  mutated({ callbacks: null, errbacks: null, chain: null, chord: null }).map(
    (embed) => `[[1, 2], {}, ${embed}]`,
  ),
  mutated({ task: "h.add", id: "v1", args: [1, 2], kwargs: {}, retries: 0, eta: null }),
  absurd,
);

/** Resident memory of the worker, MB. */
const residentMb = (): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${worker.child.pid}/status`, "utf8"))?.[1]) / 1024;

/** It is the same process, it answers, and it runs tasks. */
async function lives(): Promise<void> {
  if (worker.child.exitCode !== null) throw new Error(`the worker ended: ${worker.text.slice(-3000)}`);
  const clean = await app.sendTask("h.clean", []);
  expect(await clean.get({ timeout: 20 })).toBe(true);
  expect((await app.control.ping({ destination: [NODE], timeout: 10 }))[NODE]).toEqual({ ok: "pong" });
}

/** Hostile messages, some at a time, and a look at the worker after each time. How its memory has grown, MB. */
async function assault(
  message: fc.Arbitrary<string>,
  send: (messages: readonly string[]) => Promise<unknown>,
): Promise<number> {
  // What a first storm loads and compiles is not what the test asks about.
  for (const messages of fc.sample(fc.array(message, { minLength: AT_ONCE, maxLength: AT_ONCE }), {
    seed,
    numRuns: 20,
  })) {
    await send(messages);
  }
  await lives();
  const beforeMb = residentMb();
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: AT_ONCE }), async (messages) => {
      await send(messages);
      await lives();
    }),
    { seed, numRuns: RUNS, endOnFailure: true },
  );
  return residentMb() - beforeMb;
}

beforeEach(() => lives());

test("remote control messages", async () => {
  const message = enveloped(
    fc.oneof(request, withArguments, absurd),
    fc.oneof(mutated({ clock: 1, expires: 4e9 }), absurd),
  );
  const grewMb = await assault(message, (messages) =>
    Promise.all(messages.map((one) => redis.publish("/0.celery.pidbox", one))),
  );
  expect(grewMb).toBeLessThan(GROW_MB);
}, 180_000);

test("events of other workers", async () => {
  const message = enveloped(
    fc.oneof(
      event,
      event.map((one) => `[${one}, ${one}]`),
      absurd,
    ),
    mutated({ hostname: "x@y" }),
  );
  let turn = 0;
  const grewMb = await assault(message, (messages) =>
    Promise.all(
      messages.map((one) => {
        turn += 1;
        return redis.publish(`/0.celeryev/${EVENT_KEYS[turn % EVENT_KEYS.length]}`, one);
      }),
    ),
  );
  expect(grewMb).toBeLessThan(GROW_MB);
}, 180_000);

test("tasks", async () => {
  const message = enveloped(
    body,
    fc.oneof({ weight: 4, arbitrary: headers }, { weight: 1, arbitrary: absurd }),
  );
  const grewMb = await assault(message, (messages) => redis.lpush("celery", ...messages));
  expect(grewMb).toBeLessThan(GROW_MB);
  await eventually("nothing is on the queue any more", async () => (await redis.llen("celery")) === 0, {
    timeoutMs: 20_000,
  });
}, 180_000);
