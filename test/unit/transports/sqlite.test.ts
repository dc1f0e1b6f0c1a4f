import { readdirSync, rmSync } from "node:fs";
import { expect, test } from "vitest";
import { SqliteTransport } from "../../../src/transports/sqlite/index.ts";
import { Inbox, toQueue } from "../../conformance/inbox.ts";
import { eventually } from "../../support/eventually.ts";
import { sqliteRig } from "../../support/sqlite-rig.ts";

/** How many hear a broadcast. */
async function heardBy(sender: SqliteTransport): Promise<number> {
  let heard = -1;
  const broadcast = { ...toQueue("", "m"), exchange: "fan", type: "fanout", routingKey: "" } as const;
  await sender.publish([{ ...broadcast, onHeard: (count) => (heard = count) }], null);
  return heard;
}

test("of a message that was given up another worker is told when the first could not store it, or died", async () => {
  const rig = await sqliteRig();
  const open = async (): Promise<SqliteTransport> => {
    const transport = new SqliteTransport(rig.options({ options: { delivery_limit: 1 } }));
    await transport.start(new AbortController().signal);
    return transport;
  };
  const first = await open();
  const asked: unknown[] = [];
  const consumer = first.consume({
    queues: ["q"],
    prefetch: 10,
    onBatch: (batch) => void consumer.settle(batch[0]!, { kind: "lost" }),
    onDead: (dead) => {
      asked.push(dead.message?.headers["id"]);
      // It never comes to an end.
      return new Promise<boolean>(() => {});
    },
    onLost: () => {},
    onState: () => {},
  });
  await first.publish([toQueue("q", "pill")], null);
  await eventually("the first is asked", () => asked.length === 1);
  const second = await open();
  const inbox = new Inbox(second, ["other"]);
  first.abandon();
  await inbox.until(
    () => inbox.dead.length === 1,
    () => "the second is told",
  );
  expect([asked, inbox.dead[0]?.message?.headers["id"]]).toEqual([["pill"], "pill"]);
  const left = (): number =>
    Number(rig.raw().prepare("SELECT count(*) AS n FROM petiole_untold").get()?.["n"]);
  await eventually("nothing is left to be told", () => left() === 0);
  expect((await second.readDead("q", { skip: 0, count: 9 })).length).toBe(1);
  await second.stop();
  await rig.stop();
});

test("of a broadcast those are counted that live, whatever they were opened as", async () => {
  const rig = await sqliteRig();
  const open = async (role: "worker" | "producer"): Promise<SqliteTransport> => {
    const transport = new SqliteTransport(rig.options({ role }));
    await transport.start(new AbortController().signal);
    return transport;
  };
  const [worker, client, sender] = [await open("worker"), await open("producer"), await open("producer")];
  const tell = (): Promise<number> => heardBy(sender);
  expect(await tell()).toBe(0);
  for (const one of [worker, client]) {
    await one.subscribe({ exchange: "fan", routingKey: "", onMessage: () => {}, onGap: () => {} });
  }
  expect(await tell()).toBe(2);
  worker.abandon();
  expect(await tell()).toBe(1);
  await client.stop();
  expect(await tell()).toBe(0);
  await sender.stop();
  await rig.stop();
});

test.each(["stop", "abandon"] as const)("%s while it subscribes: no lock is left", async (end) => {
  const rig = await sqliteRig();
  const client = new SqliteTransport(rig.options({ role: "producer" }));
  await client.start(new AbortController().signal);
  const subscription = { exchange: "fan", routingKey: "", onMessage: () => {}, onGap: () => {} };
  const [subscribed] = await Promise.allSettled([client.subscribe(subscription), client[end]()]);
  expect(subscribed).toMatchObject({ status: "rejected", reason: { code: "PET_CLOSED" } });
  expect(readdirSync(`${rig.path}-holders`)).toEqual([]);
  expect(rig.raw().prepare("SELECT * FROM petiole_holders").all()).toEqual([]);
  await rig.stop();
});

test("a worker that was taken for a lost one is counted again, as one that lives", async () => {
  const rig = await sqliteRig();
  const open = async (): Promise<SqliteTransport> => {
    const transport = new SqliteTransport(rig.options());
    await transport.start(new AbortController().signal);
    return transport;
  };
  const [worker, other] = [await open(), await open()];
  const subscription = { exchange: "fan", routingKey: "", onMessage: () => {}, onGap: () => {} };
  const [first, second] = [await worker.subscribe(subscription), await worker.subscribe(subscription)];
  const inbox = new Inbox(worker, ["q"]);
  expect(await heardBy(other)).toBe(2);
  const rows = (): readonly unknown[] =>
    rig
      .raw()
      .prepare("SELECT holder FROM petiole_subscribers")
      .all()
      .map((row) => row["holder"]);
  rmSync(`${rig.path}-holders/${String(rows()[0])}`);
  const keeper = new Inbox(other, ["other"]);
  await eventually("it is taken for a lost one", () => rows().length === 0);
  await other.publish([toQueue("q", "a")], null);
  await inbox.until(
    () => inbox.deliveries.length === 1,
    () => "it takes a message",
  );
  await eventually("it is counted again", async () => (await heardBy(other)) === 2);
  await keeper.consumer.pause();
  await first.close();
  expect(await heardBy(other)).toBe(1);
  await second.close();
  expect(await heardBy(other)).toBe(0);
  await worker.stop();
  await other.stop();
  await rig.stop();
});
