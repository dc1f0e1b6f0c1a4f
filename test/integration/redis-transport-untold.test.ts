/** A message that was given up is told of, though the worker that gave it up dies before it has. */
import { describe, expect, test } from "vitest";
import { Inbox } from "../conformance/inbox.ts";
import { eventually } from "../support/eventually.ts";
import { many, RedisRig } from "../support/redis-rig.ts";

const rig = new RedisRig();
const NOTES = ["unacked_untold", "unacked_untold_texts"] as const;

describe("a message that was given up", () => {
  const options = { delivery_limit: 1 };
  const notes = (): Promise<string> => rig.server.command("EXISTS", ...NOTES);
  const hang = (): Promise<boolean> => new Promise(() => {});

  /** Takes one message and loses it. */
  async function giver(tells: () => Promise<boolean>): Promise<Inbox & { die(): Promise<void> }> {
    const transport = await rig.open({ options });
    await transport.publish(many("q", 1), null);
    const inbox = new Inbox(transport, ["q"], { prefetch: 1, tells });
    const [pill] = await inbox.take(1);
    expect(await inbox.settle(pill!, { kind: "lost" })).toBe("done");
    await inbox.until(
      () => inbox.dead.length === 1,
      () => "told",
    );
    return Object.assign(inbox, { die: () => transport.abandon() });
  }
  const witness = async (): Promise<Inbox> => new Inbox(await rig.open({ options }), ["other"], {});
  const heard = (inbox: Inbox): Promise<void> =>
    inbox.until(
      () => inbox.dead.length > 0,
      () => "told in its place",
      10_000,
    );

  test("leaves no note once it was told of, and is told once", async () => {
    const inbox = await giver(async () => true);
    await eventually("no note is left", async () => (await notes()) === "0");
    expect(await rig.server.command("LLEN", "q.dead")).toBe("1");
    expect(inbox.dead).toHaveLength(1);
  });

  test("is told of by another worker when its own dies, with all that the dead list has", async () => {
    const own = await giver(hang);
    expect(await notes()).toBe("2");
    const other = await witness();
    await own.die();
    await heard(other);
    expect(other.dead).toEqual(own.dead);
    await eventually("no note is left", async () => (await notes()) === "0");
    expect(await rig.server.command("LLEN", "q.dead")).toBe("1");
  });

  test("is told of again when it could not be told", async () => {
    let can = false;
    const inbox = await giver(async () => can);
    can = true;
    await inbox.until(
      () => inbox.dead.length === 2,
      () => "told again",
      10_000,
    );
    expect(inbox.dead[1]).toEqual(inbox.dead[0]);
    await eventually("no note is left", async () => (await notes()) === "0");
  });

  test("stays with who is still telling, however long that takes", async () => {
    let over = (_told: boolean): void => {};
    const own = await giver(
      () =>
        new Promise<boolean>((resolve) => {
          over = resolve;
        }),
    );
    const other = await witness();
    // Time enough for others to think that it died.
    const fromMs = performance.now();
    await eventually("three leases are over", () => performance.now() - fromMs > 4500);
    expect([own.dead.length, other.dead.length]).toEqual([1, 0]);
    over(true);
    await eventually("no note is left", async () => (await notes()) === "0");
  });

  test("and was put back by an operator before it was told of is no failure any more", async () => {
    const own = await giver(hang);
    const operator = await rig.open({ role: "producer" });
    const letters = await operator.readDead("q", { skip: 0, count: 9 });
    await own.die();
    expect(await operator.requeueDead(letters)).toBe(1);
    expect(await notes()).toBe("0");
    expect(await operator.size("q")).toBe(1);
  });
});
