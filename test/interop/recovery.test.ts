/** A worker that is killed while it holds messages: the other kind of worker recovers them. */
import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Fleet, withFleet } from "./harness.ts";

/** Seconds until Python takes an unacknowledged message for lost; it looks at its start. */
const VISIBILITY = 3;

const FLEET = {
  config: {
    broker_transport_options: { visibility_timeout: VISIBILITY },
    worker_prefetch_multiplier: 8,
  },
};

const holdLate = ({ app }: Fleet) => app.remote<(gate: string) => string>("demo.hold_late");
const request = ({ app }: Fleet) => app.remote<(key: string) => null>("demo.record_request");
const record = ({ app }: Fleet) => app.remote<(key: string, value: unknown) => unknown>("demo.record");

/** Waits out the visibility timeout: a wall-clock rule between two programs that no signal of ours can shorten. */
async function visibilityPassed(): Promise<void> {
  const until = Date.now() + (VISIBILITY + 1) * 1000;
  await eventually("the visibility timeout has passed", () => Date.now() > until, { intervalMs: 100 });
}

// They wait most of their time.
describe.concurrent("what a killed worker held", () => {
  test(
    "a Python worker runs what our killed worker held: running, reserved and waiting for its ETA",
    withFleet(FLEET, async (fleet) => {
      const ours = await fleet.cliWorker({ name: "ts@test", concurrency: 1 });
      const running = await holdLate(fleet).delay("gate-ours");
      await fleet.waiting("gate-ours");
      const reserved = await fleet.app.sendMany([record(fleet).s("held", 1), record(fleet).s("held", 2)]);
      const parked = await record(fleet).applyAsync(["held", 3], { countdown: 1 });
      await eventually("all four are held", async () => (await fleet.unacked()) === 4);
      await ours.kill("SIGKILL");
      expect(await fleet.unacked()).toBe(4);
      await fleet.open("gate-ours");
      await visibilityPassed();
      await fleet.pythonWorker({ name: "py@test", concurrency: 2 });
      expect(await running.get({ timeout: 30 })).toBe("gate-ours");
      for (const one of [...reserved, parked]) await one.get({ timeout: 30 });
      const seen = (await fleet.seen("held")) as [string, number][];
      expect(seen.map(([language, value]) => `${language} ${value}`).sort()).toEqual([
        "py 1",
        "py 2",
        "py 3",
      ]);
      await eventually("nothing is held any more", async () => (await fleet.unacked()) === 0);
    }),
  );

  test(
    "our worker runs what a killed Python worker held",
    withFleet(FLEET, async (fleet) => {
      const theirs = await fleet.pythonWorker({ name: "py@test", concurrency: 1, pool: "prefork" });
      const running = await holdLate(fleet).delay("gate-theirs");
      await fleet.waiting("gate-theirs");
      const reserved = await fleet.app.sendMany([
        record(fleet).s("held", 1),
        record(fleet).s("held", 2),
        request(fleet).s("told"),
      ]);
      const counted = await record(fleet).applyAsync(["held", 3], { countdown: 60 });
      await eventually("all five are held", async () => (await fleet.unacked()) === 5);
      await theirs.kill("SIGKILL");
      await fleet.open("gate-theirs");
      await fleet.worker({ hostname: "ts@test", concurrency: 2 });
      expect(await running.get({ timeout: 40 })).toBe("gate-theirs");
      for (const one of reserved) await one.get({ timeout: 40 });
      const seen = (await fleet.seen("held")) as [string, number][];
      expect(seen.map(([language, value]) => `${language} ${value}`).sort()).toEqual(["ts 1", "ts 2"]);
      expect(await fleet.seen("told")).toMatchObject([{ redelivered: true }]);
      // The one with an ETA is parked again, not run early.
      expect(await counted.state()).toBe("PENDING");
      expect(await fleet.unacked()).toBe(1);
    }),
  );

  test(
    "our worker gives what a killed Python worker held back to another Python worker, as redelivered",
    withFleet(FLEET, async (fleet) => {
      const dead = await fleet.pythonWorker({ name: "dead@test", concurrency: 1 });
      await holdLate(fleet).delay("gate-heal");
      await fleet.waiting("gate-heal");
      await request(fleet).delay("healed");
      await eventually("both are held", async () => (await fleet.unacked()) === 2);
      await dead.kill("SIGKILL");
      await fleet.open("gate-heal");
      // It serves another queue; what it finds lost it puts back on theirs. The Python worker would wait an hour.
      await fleet.worker({ hostname: "ts@test", queues: ["other"], concurrency: 1 });
      await fleet.pythonWorker({
        name: "py@test",
        concurrency: 2,
        config: { broker_transport_options: { visibility_timeout: 3600 } },
      });
      const [seen] = await eventually(
        "Python ran it",
        async () => {
          const all = (await fleet.seen("healed")) as { redelivered: boolean }[];
          return all.length === 1 && all;
        },
        { timeoutMs: 30_000 },
      );
      expect(seen!.redelivered).toBe(true);
    }),
  );

  test(
    "an early-acknowledged task that was running when our worker was killed does not run again",
    withFleet(FLEET, async (fleet) => {
      const ours = await fleet.cliWorker({ name: "ts@test", concurrency: 1 });
      const hold = fleet.app.remote<(gate: string) => string>("demo.hold");
      const lost = await hold.delay("gate-early");
      await fleet.waiting("gate-early");
      await eventually("it is acknowledged", async () => (await fleet.unacked()) === 0);
      await ours.kill("SIGKILL");
      await fleet.pythonWorker({ name: "py@test", concurrency: 1 });
      expect(await (await record(fleet).delay("after", 1)).get({ timeout: 20 })).toBe(1);
      expect(await lost.state()).toBe("PENDING");
    }),
  );
});
