/** Broadcast queues and queues of one worker, both ways. */
import { Celery, type CeleryOptions, workerDirect } from "petiole";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;

describe("a broadcast queue", () => {
  const ours: CeleryOptions = { taskQueues: [{ name: "celery" }, { name: "news", exchangeType: "fanout" }] };

  /** One worker of Python's, two of ours. */
  beforeAll(async () => {
    fleet = await startFleet({ pythonOnly: { broadcast_queues: ["news"] } });
    await fleet.pythonWorker({ name: "py@host" });
    for (const hostname of ["ts1@host", "ts2@host"]) await fleet.worker({ hostname, app: ours });
  });
  afterAll(() => fleet?.stop());

  const heard = async (key: string): Promise<readonly string[]> => {
    const seen = (await fleet.seen(key)) as readonly (readonly [language: string, value: unknown])[];
    return seen.map(([language, value]) => `${language} ${String(value)}`).sort();
  };

  /** What the workers ran, once it is three copies. */
  async function hear(key: string): Promise<readonly string[]> {
    await eventually("every worker has run its copy", async () => (await heard(key)).length >= 3);
    return heard(key);
  }

  test("what Python sends runs on every worker of both kinds", async () => {
    await fleet.python.run(`
      from kombu import Exchange
      with app.producer_pool.acquire() as producer:
          Exchange("news", type="fanout")(producer.channel).declare()
          app.send_task("demo.record", ("a", 7), exchange="news", routing_key="celery", producer=producer)
    `);
    expect(await hear("a")).toEqual(["py 7", "ts 7", "ts 7"]);
  });

  test("what we send runs on every worker of both kinds, and no list is left", async () => {
    const client = new Celery("client", { brokerUrl: fleet.broker, ...ours });
    await client.sendTask("demo.record", ["b", 7], { queue: "news" });
    await client.close();
    expect(await hear("b")).toEqual(["py 7", "ts 7", "ts 7"]);
    expect(await fleet.redis.command("EXISTS", "news")).toBe("0");
  });

  test("is shown to Python's inspect as Celery shows its own", async () => {
    const shown = await fleet.python.value<Record<string, readonly Record<string, unknown>[]>>(`
      return app.control.inspect(timeout=3).active_queues()
    `);
    const broadcastOf = (node: string): Record<string, unknown> | undefined =>
      shown[node]?.find(({ name }) => String(name).startsWith("bcast."));
    const { name: _py, queue: own, ...python } = broadcastOf("py@host") ?? {};
    expect(own).toEqual(expect.stringMatching(/^bcast\./));
    const { name: _ts, queue: _own, ...petiole } = broadcastOf("ts1@host") ?? {};
    expect(petiole).toEqual(python);
  });
});

describe("worker_direct", () => {
  beforeAll(async () => {
    fleet = await startFleet({ config: { worker_direct: true } });
    await fleet.pythonWorker({ name: "py@host" });
    await fleet.worker({ hostname: "ts@host" });
  });
  afterAll(() => fleet?.stop());

  test("we send to one worker of either kind", async () => {
    for (const [node, language] of [
      ["py@host", "py"],
      ["ts@host", "ts"],
    ] as const) {
      for (let i = 0; i < 3; i += 1) {
        const result = await fleet.app.sendTask("demo.whoami", [i], { queue: workerDirect(node) });
        expect(await result.get({ timeout: 20 })).toMatchObject([language, node, i]);
      }
    }
  });

  test("Python sends to one worker of either kind", async () => {
    for (const [node, language] of [
      ["py@host", "py"],
      ["ts@host", "ts"],
    ] as const) {
      const answer = await fleet.python.value(`
        from celery.utils.nodenames import worker_direct
        return app.send_task("demo.whoami", (1,), queue=worker_direct("${node}")).get(timeout=20)
      `);
      expect(answer).toMatchObject([language, node, 1]);
    }
  });

  test("both bind the queue alike", async () => {
    const bound = (await fleet.redis.command("SMEMBERS", "_kombu.binding.C.dq2")).split("\n").sort();
    const sep = "\u0006\u0016";
    expect(bound).toEqual(["py@host", "ts@host"].map((node) => [node, "", `${node}.dq2`].join(sep)));
  });
});
