import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LamportClock } from "../../../src/base/lamport-clock.ts";
import type { AnyEvent } from "../../../src/protocol/events.ts";
import { Elections } from "../../../src/worker/election.ts";
import { seed } from "../../support/seed.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { NotingLogger, turns } from "./support.ts";

interface Node {
  begin(id: string): void;
  hear(event: AnyEvent): void;
  stop(): void;
}

/** What Celery 5.6.3 does at an election. */
class PythonNode implements Node {
  readonly #requests: AnyEvent[] = [];
  readonly #cluster: Cluster;
  readonly #name: string;
  #replies: number | null = null;
  dead = false;

  constructor(cluster: Cluster, name: string) {
    this.#cluster = cluster;
    this.#name = name;
  }

  begin(id: string): void {
    this.#replies = 0;
    this.#cluster.send(this.#name, "worker-elect", { id, topic: "task", action: "act", cver: 1 });
  }

  hear(event: AnyEvent): void {
    if (this.dead) return;
    if (event.type === "worker-elect") {
      this.#requests.push(event);
      this.#cluster.send(this.#name, "worker-elect-ack", {
        id: (event as unknown as { readonly id: string }).id,
      });
    } else if (this.#replies !== null) {
      this.#replies += 1;
      if (this.#replies < this.#cluster.names.length - 1) return;
      this.#replies = null;
      this.dead = this.#requests.length < 2;
      const [first] = this.#requests.toSorted((a, b) => order(a) - order(b));
      if (!this.dead && first?.hostname === this.#name) this.#cluster.acted.push(`${this.#name}:act`);
    }
  }

  stop(): void {}
}

/** Pids are ascending with the names. */
const order = (event: AnyEvent): number => (event.clock ?? 0) * 1000 + (event.pid ?? 0);

/** Workers on one channel: everybody hears everything, in one order, when the test lets it through. */
class Cluster {
  readonly clock = new VirtualClock();
  readonly wire: AnyEvent[] = [];
  readonly acted: string[] = [];
  readonly nodes = new Map<string, Node>();
  readonly clocks = new Map<string, { readonly lamport: LamportClock; readonly pid: number }>();
  readonly loggers = new Map<string, NotingLogger>();
  /** Alive, and deaf to elections: without gossip. */
  readonly deaf: string[] = [];

  get names(): string[] {
    return [...this.nodes.keys(), ...this.deaf];
  }

  send(hostname: string, type: string, fields: Readonly<Record<string, unknown>>): void {
    const { lamport, pid } = this.clocks.get(hostname) ?? { lamport: new LamportClock(), pid: 0 };
    this.wire.push({
      type,
      hostname,
      pid,
      utcoffset: 0,
      timestamp: 1,
      clock: lamport.forward(),
      ...fields,
    });
  }

  #ground(hostname: string, pid: number, clock: number): void {
    this.clocks.set(hostname, { lamport: new LamportClock(clock), pid });
  }

  addPython(hostname: string, pid: number, clock = 0): PythonNode {
    this.#ground(hostname, pid, clock);
    const node = new PythonNode(this, hostname);
    this.nodes.set(hostname, node);
    return node;
  }

  add(hostname: string, pid: number, clock = 0): void {
    this.#ground(hostname, pid, clock);
    const logger = new NotingLogger();
    const elections = new Elections({
      hostname,
      pid,
      clock: this.clock,
      logger,
      peers: () =>
        this.names
          .filter((one) => one !== hostname)
          .map((one) => ({ hostname: one, holdsAcks: !(this.nodes.get(one) instanceof PythonNode) })),
      send: (type, fields) => this.send(hostname, type, fields),
    });
    elections.handlers.set("task", (action) => this.acted.push(`${hostname}:${String(action)}`));
    this.loggers.set(hostname, logger);
    const { lamport } = this.clocks.get(hostname) as { lamport: LamportClock };
    this.nodes.set(hostname, {
      begin: (id) => elections.begin(id, "task", "act"),
      hear: (event) => {
        lamport.adjust(event.clock);
        if (event.type === "worker-elect") elections.onElect(event);
        else elections.onAck(event);
      },
      stop: () => elections.stop(),
    });
  }

  begin(id: string, on: readonly string[] = [...this.nodes.keys()]): void {
    for (const hostname of on) this.nodes.get(hostname)?.begin(id);
  }

  /** Lets all that is on the wire through. */
  async run(): Promise<void> {
    for (let event = this.wire.shift(); event; event = this.wire.shift()) {
      for (const node of this.nodes.values()) node.hear(event);
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
    await cluster.run();
    expect(cluster.acted).toEqual(["a@h:act"]);
  });

  test("of others is acknowledged, and nothing more", async () => {
    const cluster = new Cluster();
    for (const name of ["a@h", "b@h", "c@h"]) cluster.add(name, 1);
    cluster.begin("e", ["a@h", "b@h"]);
    cluster.deaf.length = 0;
    const acks: string[] = [];
    const heard = cluster.nodes.get("c@h");
    const candidacies = cluster.wire.slice();
    for (const event of candidacies) heard?.hear(event);
    for (const event of cluster.wire) if (event.type === "worker-elect-ack") acks.push(event.hostname);
    expect(acks).toEqual(["c@h", "c@h"]);
    expect(cluster.acted).toEqual([]);
  });

  test("that does not end is forgotten after a minute, and said", async () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1);
    cluster.deaf.push("x@h", "y@h", "z@h");
    cluster.begin("e");
    await cluster.run();
    cluster.clock.advance(60_000);
    expect(cluster.loggers.get("a@h")?.of("warn")).toEqual([
      "an election did not end: too few workers answered",
    ]);
    expect(cluster.acted).toEqual([]);
  });

  test("about a topic that nobody knows is an error of the winner, and nothing else", async () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1);
    cluster.send("a@h", "worker-elect", { id: "e", topic: "unheard", action: null });
    cluster.begin("e");
    await cluster.run();
    expect(cluster.loggers.get("a@h")?.of("error")).toEqual([
      "nothing is known to be done for this topic of an election",
    ]);
  });

  test("floods are bounded", () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1);
    const one = cluster.nodes.get("a@h");
    for (let n = 0; n < 1_500; n += 1) one?.begin(`e${n}`);
    one?.begin("x".repeat(10_000));
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
            expect(cluster.acted.length).toBe(1);
          }
        },
      ),
      { seed, numRuns: 100 },
    );
  });

  test("is acknowledged when all are noted, and at once after it was decided", async () => {
    const cluster = new Cluster();
    for (const name of ["a@h", "b@h"]) cluster.add(name, 1);
    const acks = (): number => cluster.wire.filter((one) => one.type === "worker-elect-ack").length;
    cluster.begin("e");
    const heard = cluster.nodes.get("b@h");
    heard?.hear(cluster.wire[0] as AnyEvent);
    expect(acks()).toBe(0);
    heard?.hear(cluster.wire[1] as AnyEvent);
    expect(acks()).toBe(2);
    await cluster.run();
    cluster.send("c@h", "worker-elect", { id: "e", topic: "task", action: "act" });
    heard?.hear(cluster.wire[0] as AnyEvent);
    expect(acks()).toBe(1);
  });

  test("is not decided by an ack of Celery's while there is one candidate: that one may not take part yet", async () => {
    const cluster = new Cluster();
    cluster.add("a@h", 1, 10);
    const python = cluster.addPython("p@h", 2);
    cluster.begin("e", ["a@h"]);
    await cluster.run();
    expect(cluster.acted).toEqual([]);
    python.begin("e");
    await cluster.run();
    expect(cluster.acted).toEqual(["p@h:act"]);
  });

  test("may have the id of one that was decided", async () => {
    const cluster = new Cluster();
    for (const name of ["a@h", "b@h", "c@h"]) cluster.add(name, 1);
    for (const count of [1, 2, 3]) {
      cluster.begin("same");
      await cluster.run();
      expect(cluster.acted).toHaveLength(count);
    }
  });

  test("in a cluster with Celery's workers has one winner of all, wherever each is with its reading", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ python: fc.boolean(), clock: fc.nat(20) }), {
          minLength: 2,
          maxLength: 5,
        }),
        fc.infiniteStream(fc.nat(10_000)),
        async (members, choices) => {
          const cluster = new Cluster();
          const pythons: PythonNode[] = [];
          const readers = members.map(({ python, clock }, index) => {
            const name = `w${index}@h`;
            if (python) pythons.push(cluster.addPython(name, index, clock));
            else cluster.add(name, index, clock);
            return { name, python, at: 0, begun: false };
          });
          const steps = (): (() => void)[] =>
            readers.flatMap((one) => {
              const node = cluster.nodes.get(one.name) as Node;
              const begin = (): void => {
                one.begun = true;
                node.begin("e");
              };
              const hear = (): void => node.hear(cluster.wire[one.at++] as AnyEvent);
              // One of Celery's that joins after it has heard acks does not count them: that is its own affair.
              const mayHear = one.at < cluster.wire.length && (one.begun || !one.python);
              return [...(one.begun ? [] : [begin]), ...(mayHear ? [hear] : [])];
            });
          for (let open = steps(); open.length > 0; open = steps())
            open[(choices.next().value as number) % open.length]?.();
          await turns(1);
          if (pythons.some((one) => one.dead)) return;
          expect(cluster.acted).toHaveLength(1);
          for (const node of cluster.nodes.values()) node.stop();
        },
      ),
      { seed, numRuns: 500 },
    );
  });
});
