import { expect, test } from "vitest";
import { SqliteTransport } from "../../../src/transports/sqlite/index.ts";
import { Inbox, toQueue } from "../../conformance/inbox.ts";
import { eventually } from "../../support/eventually.ts";
import { sqliteRig } from "../../support/sqlite-rig.ts";

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
