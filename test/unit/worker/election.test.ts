import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LamportClock } from "../../../src/base/lamport-clock.ts";
import type { AnyEvent } from "../../../src/protocol/events.ts";
import { Elections } from "../../../src/worker/election.ts";
import { seed } from "../../support/seed.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { NotingLogger, turns } from "./support.ts";

/** Workers on one channel: everybody hears everything, in one order, when the test lets it through. */
class Cluster {
  readonly clock = new VirtualClock();
  readonly wire: AnyEvent[] = [];
  readonly acted: string[] = [];
  readonly nodes = new Map<string, { elections: Elections; lamport: LamportClock; logger: NotingLogger }>();
  /** Alive, and deaf to elections: without gossip. */
  readonly deaf: string[] = [];

  add(hostname: string, pid: number, clock = 0): void {
    const lamport = new LamportClock(clock);
    const logger = new NotingLogger();
    const elections = new Elections({
      hostname,
      pid,
      clock: this.clock,
      logger,
      peers: () => [...this.nodes.keys(), ...this.deaf].filter((one) => one !== hostname),
      send: (type, fields) => {
        this.wire.push({
          type,
          hostname,
          pid,
          utcoffset: 0,
          timestamp: 1,
          clock: lamport.forward(),
          ...fields,
        });
      },
    });
    elections.handlers.set("task", (action) => this.acted.push(`${hostname}:${String(action)}`));
    this.nodes.set(hostname, { elections, lamport, logger });
  }

  begin(id: string, on: readonly string[] = [...this.nodes.keys()]): void {
    for (const hostname of on) this.nodes.get(hostname)?.elections.begin(id, "task", "act");
  }

  /** Lets all that is on the wire through. */
  async run(): Promise<void> {
    for (let event = this.wire.shift(); event; event = this.wire.shift()) {
      for (const { elections, lamport } of this.nodes.values()) {
        lamport.adjust(event.clock);
        if (event.type === "worker-elect") elections.onElect(event);
        else elections.onAck(event);
      }
    }
    await turns(1);
  }
}

describe("an election", () => {
  test("of a single worker is won by it", async () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1);
    cluster.begin("e");
    await cluster.run();
    expect(cluster.acted).toEqual(["a@h:act"]);
  });

  test("is won by the lowest clock, then by the name, and by nobody else", async () => {
    for (const clocks of [
      [5, 3, 9],
      [4, 4, 4],
      [9, 2, 2],
    ]) {
      const cluster = new Cluster();
      for (const [index, clock] of clocks.entries()) cluster.add(`${"abc"[index]}@h`, index, clock);
      const lowest = clocks.indexOf(Math.min(...clocks));
      cluster.begin("e");
      await cluster.run();
      expect(cluster.acted).toEqual([`${"abc"[lowest]}@h:act`]);
    }
  });

  test("waits a second for one that is late, and then decides without it", async () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1, 10);
    cluster.add("b@h", 2, 20);
    cluster.deaf.push("deaf@h");
    cluster.begin("e");
    await cluster.run();
    expect(cluster.acted).toEqual([]);
    cluster.clock.advance(1_000);
    await turns(1);
    expect(cluster.acted).toEqual(["a@h:act"]);
  });

  test("of others is acknowledged, and nothing more", async () => {
    const cluster = new Cluster();
    for (const name of ["a@h", "b@h", "c@h"]) cluster.add(name, 1);
    cluster.begin("e", ["a@h", "b@h"]);
    cluster.deaf.length = 0;
    const acks: string[] = [];
    const heard = cluster.nodes.get("c@h");
    heard?.elections.onElect(cluster.wire[0] as AnyEvent);
    for (const event of cluster.wire) if (event.type === "worker-elect-ack") acks.push(event.hostname);
    expect(acks).toEqual(["c@h"]);
    expect(cluster.acted).toEqual([]);
  });

  test("that does not end is forgotten after a minute, and said", async () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1);
    cluster.deaf.push("x@h", "y@h", "z@h");
    cluster.begin("e");
    await cluster.run();
    cluster.clock.advance(60_000);
    expect(cluster.nodes.get("a@h")?.logger.of("warn")).toEqual([
      "an election did not end: too few workers answered",
    ]);
    expect(cluster.acted).toEqual([]);
  });

  test("about a topic that nobody knows is an error of the winner, and nothing else", async () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1);
    cluster.nodes.get("a@h")?.elections.begin("e", "unheard", null);
    await cluster.run();
    expect(cluster.nodes.get("a@h")?.logger.of("error")).toEqual([
      "nothing is known to be done for this topic of an election",
    ]);
  });

  test("floods are bounded", () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1);
    const one = cluster.nodes.get("a@h");
    for (let n = 0; n < 1_500; n += 1) one?.elections.begin(`e${n}`, "task", null);
    one?.elections.begin("x".repeat(10_000), "task", null);
    expect(cluster.wire.length).toBe(1_000);
  });

  test("always has one winner, whatever the clocks and the number of workers", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(20), { minLength: 1, maxLength: 6 }),
        fc.nat(3),
        async (clocks, rounds) => {
          const cluster = new Cluster();
          for (const [index, clock] of clocks.entries()) cluster.add(`w${index}@h`, index, clock);
          for (let round = 0; round <= rounds; round += 1) {
            cluster.acted.length = 0;
            cluster.begin(`e${round}`);
            await cluster.run();
            cluster.clock.advance(1_000);
            await turns(1);
            expect(cluster.acted.length).toBe(1);
          }
        },
      ),
      { seed, numRuns: 100 },
    );
  });
});
