/**
 * Every request of `control.json`, as Python's client sent it, to our worker over a real Redis: the reply is the one that
 * Python's worker gave, values that differ from run to run aside. Departures are listed with their reason.
 */
import { Redis } from "ioredis";
import { Celery } from "petiole";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { envelopesOf, metasOf, type VectorEntry, vectorEntries } from "../support/vectors.ts";

type Json = Record<string, unknown>;

const NODE = "w1@host";
const SLEEPER = "8e52bcb9-f5d2-4385-b55b-6c8d34158bfc";
const ETA = "edb6d992-bf4a-4283-96b7-e668b57d0829";
const REPLIES = "_kombu.binding.reply.celery.pidbox";
const SEP = "\x06\x16";

interface Asked {
  readonly entry: VectorEntry;
  readonly envelope: string;
  readonly client: string | null;
}

const bodyOf = (envelope: string): Json =>
  // Python writes Infinity, and so do we.
  JSON.parse(
    Buffer.from((JSON.parse(envelope) as { body: string }).body, "base64")
      .toString("utf8")
      .replace(/:\s?(-?Infinity|NaN)/g, ":null"),
  ) as Json;

function askedIn(entry: VectorEntry): Asked | null {
  const envelope = envelopesOf(entry, "PUBLISH").find((one) => "method" in bodyOf(one));
  if (envelope === undefined) return null;
  const { reply_to: replyTo } = bodyOf(envelope) as { reply_to?: { routing_key: string } };
  return { entry, envelope, client: replyTo?.routing_key ?? null };
}

/** What Python's worker replied; undefined: nothing. */
function repliedIn(entry: VectorEntry): unknown {
  const found = entry.commands.find(
    ({ cmd: [command, key] }) =>
      command === "LPUSH" && typeof key === "string" && key.endsWith(".reply.celery.pidbox"),
  );
  const payload = found?.cmd[2];
  return typeof payload === "string" ? bodyOf(payload)[NODE] : undefined;
}

const typed = (value: unknown): unknown => (value === null ? null : typeof value);
const shape = (value: unknown): unknown =>
  typeof value === "object" && value !== null ? Object.keys(value).sort() : typeof value;
const info = (one: unknown): unknown => {
  const { time_start: started, worker_pid: pid, ...rest } = one as Json;
  return { ...rest, time_start: typed(started), worker_pid: typed(pid) };
};
const infos = (reply: unknown): unknown => (reply as unknown[]).map(info);
const setText = (reply: unknown): unknown => {
  const { ok } = reply as { ok: string };
  const [, before = "", members = "", after = ""] = /^(.*?\{)(.*)(\}.*)$/.exec(ok) ?? [];
  return [before, members.split(", ").sort(), after];
};

/** How the replies to some entries are compared. Of all others they are equal. */
const COMPARE: Readonly<Record<string, (reply: unknown) => unknown>> = {
  inspect_clock: (reply) => typeof (reply as Json)["clock"],
  inspect_report: (reply) => (reply as { ok: string }).ok.replace(/^(\nsoftware -> ).*$/s, "$1"),
  inspect_stats: (reply) => {
    const stats = reply as Json;
    const { broker, pool, rusage, ...rest } = stats;
    const { port: _, ...endpoint } = broker as Json;
    return {
      ...Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, typeof value])),
      broker: endpoint,
      pool: shape(pool),
      rusage: shape(rusage),
    };
  },
  inspect_active: infos,
  inspect_active_safe: infos,
  inspect_query_task: (reply) =>
    Object.fromEntries(
      Object.entries(reply as Record<string, [string, unknown]>).map(([id, [state, one]]) => [
        id,
        [state, info(one)],
      ]),
    ),
  inspect_conf: (reply) => {
    const { broker_url: broker, result_backend: backend } = reply as Json;
    return [broker, backend].map((url) => String(url).replace(/:\d+\//, ":port/"));
  },
  // Ours are fewer: those of other result backends and of RabbitMQ are not there.
  inspect_conf_defaults: (reply) => {
    const all = reply as Json;
    return ["accept_content", "control_queue_ttl", "task_serializer", "worker_prefetch_multiplier"].map(
      (name) => all[name],
    );
  },
  inspect_hello: (reply) => (reply as Json)["revoked"],
  revoke_list: setText,
  // In order of uptimes, which are those of other hosts.
  inspect_revoked: (reply) => (reply as string[]).toSorted(),
};

/** Where we do not say what Python says. */
const DEPARTURES: Readonly<Record<string, { readonly reason: string; readonly reply: unknown }>> = {
  inspect_scheduled: { reason: "tasks wait for their ETA in the broker: no worker holds them", reply: [] },
  inspect_memsample: { reason: "Python's was asked without psutil", reply: "string" },
};
/** With `-E` Python says that events are on already, whether they are or not. Ours tells the truth. */
const EVENTS = /^(enable|disable)_events/;

function comparable(name: string, ours: unknown): unknown {
  if (EVENTS.test(name)) return /task events|event dispatcher unavailable/.test(JSON.stringify(ours));
  if (typeof DEPARTURES[name]?.reply === "string") return typeof ours;
  if (ours === undefined || DEPARTURES[name] !== undefined) return ours;
  return (COMPARE[name] ?? ((reply) => reply))(ours);
}

function expected(name: string, python: unknown): unknown {
  if (EVENTS.test(name)) return true;
  const departure = DEPARTURES[name];
  if (departure !== undefined) return departure.reply;
  return python === undefined ? undefined : (COMPARE[name] ?? ((reply) => reply))(python);
}

describe("the requests of control.json", () => {
  let server: RedisServer;
  let redis: Redis;
  let app: Celery;
  let worker: Worker;
  let wake: () => void = () => {};
  // The last entry holds keys alone.
  const entries = vectorEntries("control").filter((entry) => entry.commands !== undefined);

  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.port, "127.0.0.1");
    app = new Celery("vt", {
      brokerUrl: `${server.url}/0`,
      resultBackend: `${server.url}/1`,
      logger: silentLogger,
    });
    define(app, () => new Promise<void>((resolve) => (wake = resolve)));
    worker = new Worker(app, { hostname: NODE, concurrency: 2, prefetchMultiplier: 4, withoutMingle: true });
    await worker.start();
    await app.sendTask("vt.sleeper", [25], { taskId: SLEEPER });
    await app.sendTask("vt.add", [1, 1], { taskId: ETA, countdown: 3600 });
    await eventually("the sleeper runs", () => worker.active === 1);
  });

  afterAll(async () => {
    await worker.stop({ how: "cold" });
    await app.close();
    redis.disconnect();
    await server.stop();
  });

  /** The reply of our worker; undefined: none within the time. */
  async function ask({ envelope, client }: Asked, waitSeconds = 5): Promise<unknown> {
    const queue = `${client}.reply.celery.pidbox`;
    if (client !== null) await redis.sadd(REPLIES, `${client}${SEP}${SEP}${queue}`);
    expect(await redis.publish("/0.celery.pidbox", envelope)).toBe(1);
    if (client === null) return undefined;
    const popped = await redis.brpop(queue, waitSeconds);
    await redis.srem(REPLIES, `${client}${SEP}${SEP}${queue}`);
    if (popped === null) return undefined;
    const reply = JSON.parse(popped[1]) as { headers: Json; properties: Json };
    expect([reply.headers["ticket"], reply.properties["delivery_info"]]).toEqual([
      bodyOf(envelope)["ticket"],
      { exchange: "reply.celery.pidbox", routing_key: client },
    ]);
    return bodyOf(popped[1])[NODE];
  }

  test.each(entries.map((entry) => [entry.name, entry] as const))("%s", async (name, entry) => {
    const asked = askedIn(entry);
    const [ours, python] = asked === null ? await revokedTask(entry) : await replies(name, asked);
    expect(ours).toEqual(python);
  });

  async function replies(name: string, asked: Asked): Promise<readonly [unknown, unknown]> {
    if (name === "revoke_terminate_running") {
      // In the recording the task had ended by then.
      wake();
      await eventually("the sleeper has ended", () => worker.active === 0);
    }
    const python = repliedIn(asked.entry);
    const ours = await ask(asked, python === undefined ? 0.3 : 5);
    return [comparable(name, ours), expected(name, python)];
  }

  /** A task that was revoked before it came: what is stored of it, here and there. */
  async function revokedTask(entry: VectorEntry): Promise<readonly [unknown, unknown]> {
    const [sent = ""] = envelopesOf(entry);
    const { id } = (JSON.parse(sent) as { headers: { id: string } }).headers;
    await redis.lpush("celery", sent);
    // One was marked when it was revoked: outside of it, so without children.
    const stored = await eventually("REVOKED is stored of a run that was not", async () => {
      const meta = JSON.parse((await metaOf(id)) ?? "{}") as Json;
      return Array.isArray(meta["children"]) && meta;
    });
    const dated = (meta: Json): Json => ({ ...meta, date_done: typeof meta["date_done"] });
    return [dated(stored), dated(JSON.parse(String(metasOf(entry).at(-1))) as Json)];
  }

  const metaOf = (id: string): Promise<string | null> =>
    redis.select(1).then(async () => {
      const meta = await redis.get(`celery-task-meta-${id}`);
      await redis.select(0);
      return meta;
    });

  test("the shutdown that was asked for ends the worker, which leaves nothing of itself behind", async () => {
    await eventually("it has stopped", () => worker.state === "stopped");
    expect(await redis.smembers("_kombu.binding.celery.pidbox")).toEqual([]);
    expect(await redis.keys("*pidbox*")).toEqual([]);
  });
});

const NAMES =
  "autoretry custom_event echo errback1 errback3 fail fail_unser fail_value hardlimit ident ignored late noresult progress rejected rejected_requeue replaced replaced_group req_info retry_once softlimit spawn spawn_group tsum types_back";

function define(app: Celery, sleep: () => Promise<void>): void {
  app.task("vt.add", (x: number, y: number) => x + y);
  app.task("vt.sleeper", async (_seconds: number) => sleep());
  app.task("vt.limited", { rateLimit: "1/s" }, () => null);
  for (const name of NAMES.split(" ")) {
    app.task(`vt.${name}`, name === "autoretry" ? { maxRetries: 1 } : {}, () => null);
  }
}
