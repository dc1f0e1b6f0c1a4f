#!/usr/bin/env node
/**
 * `make cluster`, or `node bench/cluster/run.mjs [--minutes 10] [--seconds N] [--workers ts,ts,py] [--python PATH]`
 *
 * TypeScript and Python workers in one cluster; a client of either language sends tasks to both, steers both and holds
 * elections, all the time; now and then another worker comes (mingle) and goes (gossip). It fails on a wrong result or reply, on an
 * election without exactly one winner whom all name, and on a line of trouble in a log, but for those of EXPECTED. Prints
 * JSON; exit code 1 when it failed.
 *
 * With one TypeScript worker or none a worker of Celery's may decide an election on one candidate, and dies of it (IndexError in
 * kombu's `sort_heap`): such deaths are counted, and others are started. With two it cannot come to that.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { endAll } from "../lib/process-tree.mjs";
import { RedisServer } from "../lib/redis-server.mjs";

const { values: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seconds: { type: "string" },
    workers: { type: "string", default: "ts,ts,py" },
    python: { type: "string", default: fileURLToPath(new URL("../../.venv/bin/python", import.meta.url)) },
  },
});
const forMs = Number(flags.seconds ?? Number(flags.minutes) * 60) * 1000;
/** Another worker comes so often: of either kind in turn. */
const VISIT_MS = Math.min(60_000, forMs / 2);
const TASKS = 40;
const PAUSE_MS = 20;
/** Told by Celery at each start, by ours at each end, or by both of a request that is wrong on purpose. */
const EXPECTED = [
  /SecurityWarning|running a worker with superuser privileges|uid=0|euid=0|absolutely not recommended/,
  /Please specify a different user using the --uid option|User information/,
  /signal received: the worker stops/,
  /rate limit of a task that is not registered|Rate limit attempt for unknown task/,
];

const server = await RedisServer.start();
const redis = server.client();
await redis.select(1);
const env = {
  ...process.env,
  CLUSTER_BROKER: `redis://127.0.0.1:${server.port}/0`,
  CLUSTER_BACKEND: `redis://127.0.0.1:${server.port}/1`,
};
Object.assign(process.env, env);
const { Member, ourClient, PythonClient } = await import("./members.mjs");

const setUp = { env, python: flags.python };
const failures = [];
const counts = { tasks: 0, commands: 0, elections: 0, visits: 0, deathsOfCelery: 0 };
const wins = {};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function check(what, is, saw) {
  if (!is) failures.push(`${what}: ${JSON.stringify(saw)?.slice(0, 1500)}`);
}

async function eventually(what, look, ms = 10_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await look();
    if (value) return value;
    if (Date.now() > deadline) {
      failures.push(`within ${ms} ms never so: ${what}`);
      return null;
    }
    await pause(10);
  }
}

/** Name, arguments, and whether a reply is right. All workers are asked. */
const COMMANDS = [
  ["ping", {}, (reply) => reply.ok === "pong"],
  [
    "active_queues",
    {},
    (reply, { kind }) => reply.length === 2 && reply.every(({ name }) => name === kind || name === "both"),
  ],
  ["registered", {}, (reply) => reply.some((line) => line.startsWith("cluster.add"))],
  ["stats", {}, (reply) => reply.pool["max-concurrency"] === 2],
  ["clock", {}, (reply) => reply.clock > 0],
  ["active", {}, (reply) => Array.isArray(reply)],
  [
    "rate_limit",
    { task_name: "cluster.add", rate_limit: "1000000/s" },
    (reply) => reply.ok === "new rate limit set successfully",
  ],
  ["rate_limit", { task_name: "cluster.none", rate_limit: "1/s" }, (reply) => reply.error === "unknown task"],
  [
    "time_limit",
    { task_name: "cluster.add", soft: 50, hard: 60 },
    (reply) => reply.ok === "time limits set successfully",
  ],
  ["revoke", { task_id: ["none"] }, (reply) => reply.ok === "tasks {'none'} flagged as revoked"],
  ["query_task", { ids: ["none"] }, (reply) => Object.keys(reply).length === 0],
  ["heartbeat", {}, (reply) => reply === null],
];

async function tasks(client) {
  for (const queue of ["ts", "py", "both"]) {
    const numbers = Array.from({ length: TASKS }, (_, i) => i);
    const results = await client.tasks(queue, numbers);
    const right = results.every(([kind, sum], i) => sum === 2 * i && (queue === "both" || kind === queue));
    check(`results of ${queue}`, right, results);
    counts.tasks += TASKS;
  }
}

async function command(client, members, [name, args, isRight]) {
  const replies = await client.command(name, args, members.length);
  for (const member of members) {
    const reply = replies[member.name];
    check(`reply of ${member.name} to ${name}`, reply !== undefined && isRight(reply, member), replies);
  }
  counts.commands += 1;
}

/** A queue more, and one less. Celery carries both out after its reply, in any order: the first is waited for. */
async function lateQueue(client, members) {
  const ok = (pattern) => (reply) => pattern.test(reply.ok);
  const consumers = async (count) => {
    const replies = await client.command("active_queues", {}, members.length);
    return members.every(
      ({ name }) => replies[name]?.filter((queue) => queue.name === "late").length === count,
    );
  };
  await command(client, members, ["add_consumer", { queue: "late" }, ok(/^add consumer late$/)]);
  await eventually("all consume the queue", () => consumers(1));
  await command(client, members, [
    "cancel_consumer",
    { queue: "late" },
    ok(/^no longer consuming from late$/),
  ]);
  await eventually("nobody consumes the queue", () => consumers(0));
}

/** False: Celery's worker died of it, as it does. */
async function election(client, members) {
  const id = `election-${counts.elections + counts.deathsOfCelery};`;
  await client.election(id);
  const decided = () => members.some((one) => one.died) || members.every((one) => one.winnerOf(id) !== null);
  await eventually(`all have decided ${id}`, decided);
  if (members.some((one) => one.died)) return false;
  const named = members.map((one) => one.winnerOf(id));
  check(`the winner of ${id}`, new Set(named).size === 1, named);
  await eventually(
    `what the winner of ${id} is to do`,
    async () => (await redis.hget("elected", id)) !== null,
  );
  counts.elections += 1;
  wins[named[0]] = (wins[named[0]] ?? 0) + 1;
  return true;
}

/** Another worker: it asks the others for what they know, all hear of it, and it leaves. */
async function visit(kind, members) {
  counts.visits += 1;
  const guest = new Member(kind, `guest${counts.visits}-${kind}@cluster`, setUp);
  await guest.ready();
  await Promise.all(members.map((one) => one.knows(guest)));
  const others = `nodes=\\["[^"]+"(?:,"[^"]+"){${members.length - 1}}\\]`;
  await guest.says(new RegExp(`sync with ${members.length} nodes|${others}`), "it has asked all");
  const code = await guest.stop();
  check(`exit code of ${guest.name}`, code === 0, code);
  return guest;
}

let report;
const everybody = [];
try {
  const join = (kind) => {
    everybody.push(new Member(kind, `${kind}${everybody.length}@cluster`, setUp));
    return everybody.at(-1);
  };
  let members = flags.workers.split(",").map(join);
  const clients = [await ourClient(), new PythonClient(setUp)];
  await Promise.all([...members, ...clients].map((one) => one.ready()));
  const acquainted = () =>
    Promise.all(
      members.flatMap((one) => members.filter((other) => other !== one).map((other) => one.knows(other))),
    );
  await acquainted();
  const startedAt = Date.now();
  let visitAt = startedAt + VISIT_MS / 2;
  for (let round = 0; Date.now() - startedAt < forMs && failures.length < 20; round += 1) {
    const client = clients[round % 2];
    await tasks(client);
    for (const one of COMMANDS) await command(client, members, one);
    await lateQueue(client, members);
    if (!(await election(client, members))) {
      counts.deathsOfCelery += 1;
      const alive = members.filter((one) => !one.died);
      members = [...alive, ...members.filter((one) => one.died).map(({ kind }) => join(kind))];
      await Promise.all(members.map((one) => one.ready()));
      await acquainted();
    }
    if (Date.now() >= visitAt) {
      everybody.push(await visit(counts.visits % 2 === 0 ? "py" : "ts", members));
      visitAt = Date.now() + VISIT_MS;
    }
    await pause(PAUSE_MS);
  }
  const once = Object.entries(await redis.hgetall("elected")).filter(([, times]) => times !== "1");
  check("elections whose action ran more than once", once.length === 0, once);
  const twoOfOurs = members.filter(({ kind }) => kind === "ts").length > 1;
  check("deaths of Celery", !twoOfOurs || counts.deathsOfCelery === 0, counts.deathsOfCelery);
  for (const one of members) check(`${one.name} runs`, one.running, one.kind);
  for (const client of clients) await client.close();
  for (const one of members) check(`exit code of ${one.name}`, (await one.stop()) === 0, one.kind);
  for (const one of everybody) if (!one.died) failures.push(...one.complaints(EXPECTED));
  report = {
    seconds: Math.round((Date.now() - startedAt) / 1000),
    ...counts,
    wins,
    failures: failures.slice(0, 20),
    ok: failures.length === 0 && counts.elections > 0 && counts.visits > 0,
  };
} finally {
  endAll();
  redis.disconnect();
  await server.stop();
}
console.log(JSON.stringify(report, null, 1));
process.exitCode = report.ok ? 0 : 1;
