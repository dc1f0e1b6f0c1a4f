/**
 * What the Redis transport alone costs: messages a second, CPU of this process and CPU of Redis per message.
 * A private server on the loopback interface. `npx tsx bench/micro/transport.ts [messages] [runs]`.
 *
 * No worker: a message is settled where it is delivered. So the rates are an upper bound of a worker's.
 */
import { Redis } from "ioredis";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { DEFAULT_LIMITS, type WireMessage } from "../../src/protocol/wire.ts";
import { openRedisTransport, type RedisTransport } from "../../src/transports/redis/index.ts";
import type { Consumer, Delivery, Outgoing, Settlement } from "../../src/transports/transport.ts";
import { startRedis } from "../../test/support/redis.ts";

const MESSAGES = Number(process.argv[2] ?? 50_000);
const RUNS = Number(process.argv[3] ?? 3);
const QUEUE = "celery";

interface Row {
  readonly name: string;
  readonly perSecond: number;
  readonly clientUs: number;
  readonly redisUs: number;
}

const server = await startRedis();
const admin = new Redis(server.port, "127.0.0.1");

async function redisCpuUs(): Promise<number> {
  const info = await admin.info("cpu");
  const read = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(info)?.[1] ?? 0);
  return (read("used_cpu_user") + read("used_cpu_sys")) * 1e6;
}

function envelope(i: number): Outgoing {
  const id = `${String(i).padStart(8, "0")}-fe8b-4e0b-9a0b-0123456789ab`;
  const message: WireMessage = {
    body: `[[1795222728.85, ${i}], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`,
    contentType: "application/json",
    contentEncoding: "utf-8",
    headers: {
      lang: "js",
      task: "bench.noop",
      id,
      shadow: null,
      eta: null,
      expires: null,
      group: null,
      group_index: null,
      retries: 0,
      timelimit: [null, null],
      root_id: id,
      parent_id: null,
      argsrepr: `(1795222728.85, ${i})`,
      kwargsrepr: "{}",
      origin: "gen12345@host.example.com",
      ignore_result: false,
      replaced_task_nesting: 0,
      stamped_headers: null,
      stamps: {},
    },
    properties: { correlation_id: id, reply_to: "922c219f-c426-37dc-a37f-57779662de80", delivery_mode: 2 },
  };
  return { message, exchange: "", type: "direct", routingKey: QUEUE, priority: 0 };
}

async function open(role: "producer" | "worker"): Promise<RedisTransport> {
  const transport = openRedisTransport({
    url: `${server.url}/0`,
    tls: null,
    options: {},
    role,
    logger: silentLogger,
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    defaultQueue: QUEUE,
    clientName: null,
  });
  await transport.start(new AbortController().signal);
  return transport;
}

async function measure(name: string, messages: number, work: () => Promise<void>): Promise<Row> {
  const redisBefore = await redisCpuUs();
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  await work();
  const elapsedMs = performance.now() - started;
  const cpu = process.cpuUsage(cpuBefore);
  const redisUs = (await redisCpuUs()) - redisBefore;
  return {
    name,
    perSecond: (messages * 1000) / elapsedMs,
    clientUs: (cpu.user + cpu.system) / messages,
    redisUs: redisUs / messages,
  };
}

async function publish(inFlight: number): Promise<void> {
  const transport = await open("producer");
  const messages = Array.from({ length: 1000 }, (_, i) => envelope(i));
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < MESSAGES) {
      const message = messages[next++ % messages.length];
      if (message) await transport.publish([message], null);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  await transport.stop();
}

async function publishBulk(size: number): Promise<void> {
  const transport = await open("producer");
  const messages = Array.from({ length: size }, (_, i) => envelope(i));
  for (let sent = 0; sent < MESSAGES; sent += size) await transport.publish(messages, null);
  await transport.stop();
}

async function fill(): Promise<void> {
  await admin.flushall();
  await publishBulk(1000);
}

type Settle = (transport: RedisTransport, delivery: Delivery) => Settlement;
const ack: Settle = () => ({ kind: "ack" });
const finish: Settle = (transport, delivery) => {
  const id = String(delivery.message.headers["id"]);
  return {
    kind: "ack-with-result",
    write: {
      location: transport.location,
      key: `celery-task-meta-${id}`,
      value: `{"status":"SUCCESS","result":null,"traceback":null,"children":[],"date_done":"2026-11-24T08:00:00.000000+00:00","task_id":"${id}"}`,
      ttlSeconds: 86_400,
      keepSuccess: true,
    },
  };
};

/** `lanes`: deliveries that are "running" at once; null settles all of a batch at once. */
async function drain(prefetch: number, settle: Settle, lanes: number | null = null): Promise<void> {
  const transport = await open("worker");
  const most = lanes ?? Number.POSITIVE_INFINITY;
  await new Promise<void>((resolve) => {
    let done = 0;
    let running = 0;
    const waiting: Delivery[] = [];
    let consumer: Consumer | null = null;
    const finished = (): void => {
      done += 1;
      running -= 1;
      pump();
      if (done === MESSAGES) resolve();
    };
    const pump = (): void => {
      while (waiting.length > 0 && running < most) {
        const delivery = waiting.shift();
        if (!delivery || !consumer) return;
        running += 1;
        const sent = consumer.settle(delivery, settle(transport, delivery));
        // A worker's slot is free when the task has ended, not when the broker has answered.
        if (lanes === null) void sent.then(finished);
        else queueMicrotask(finished);
      }
    };
    consumer = transport.consume({
      queues: [QUEUE],
      prefetch,
      onBatch: (deliveries) => {
        waiting.push(...deliveries);
        pump();
      },
      onDead: () => {},
      onLost: () => {},
      onState: () => {},
    });
  });
  await transport.stop();
}

const rows = new Map<string, Row[]>();
async function run(name: string, work: () => Promise<void>): Promise<void> {
  rows.set(name, [...(rows.get(name) ?? []), await measure(name, MESSAGES, work)]);
}

for (let i = 0; i < RUNS; i++) {
  await admin.flushall();
  await run("publish, 1000 in flight", () => publish(1000));
  await admin.flushall();
  await run("publish, bulk of 1000", () => publishBulk(1000));
  for (const [name, settle] of [
    ["ack", ack],
    ["finish", finish],
  ] as const) {
    for (const [prefetch, lanes] of [
      [400, null],
      [40, 10],
      [4, 1],
    ] as const) {
      await fill();
      await run(`fetch + ${name}, prefetch ${prefetch}`, () => drain(prefetch, settle, lanes));
    }
  }
}
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
for (const [name, runs] of rows) {
  const line = [
    name.padEnd(32),
    `${Math.round(median(runs.map((one) => one.perSecond)))}/s`.padStart(10),
    `client ${median(runs.map((one) => one.clientUs)).toFixed(1)} us`.padStart(16),
    `redis ${median(runs.map((one) => one.redisUs)).toFixed(1)} us`.padStart(16),
  ];
  process.stdout.write(`${line.join("  ")}\n`);
}
admin.disconnect();
await server.stop();
