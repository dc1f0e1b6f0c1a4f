/**
 * Elections of a cluster of Python's and TypeScript workers: each has exactly one winner, and all name the same. With two of
 * ours no worker of Celery's can come to decide on one candidate, of which it would die.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type CliWorker, type Fleet, startFleet } from "./harness.ts";

const ROUNDS = 40;
interface Member {
  readonly name: string;
  readonly log: () => string;
}

let fleet: Fleet;
let ours: readonly Member[];

beforeAll(async () => {
  fleet = await startFleet();
  const started = ["ts1@test", "ts2@test"].map(async (name): Promise<Member> => {
    const worker: CliWorker = await fleet.cliWorker({ name, queues: [name], args: ["-l", "debug"] });
    return { name, log: () => worker.log() };
  });
  ours = await Promise.all(started);
}, 60_000);
afterAll(() => fleet?.stop());

/** Two workers of Python, when all know all. */
async function startPythons(): Promise<readonly Member[]> {
  const started = ["a@test", "b@test"].map(async (name): Promise<Member> => {
    const args = ["-l", "DEBUG"];
    const worker = await fleet.pythonWorker({ name, cluster: true, pool: "solo", queues: ["py"], args });
    return { name, log: () => worker.log() };
  });
  const pythons = await Promise.all(started);
  const known = [...ours, ...pythons].map(({ name }) => name);
  await eventually(
    "all know all",
    () =>
      ours.every((one) => pythons.every(({ name }) => one.log().includes(`a worker joined node=${name}`))) &&
      pythons.every((one) =>
        known.every((name) => name === one.name || one.log().includes(`${name} joined the party`)),
      ),
    { timeoutMs: 30_000 },
  );
  return pythons;
}

/** Whom this worker names as the winner. */
function winnerBy({ name, log }: Member, id: string): string | undefined {
  const line = log()
    .split("\n")
    .find((one) => / elected|won the election/.test(one) && one.includes(id));
  if (line === undefined) return undefined;
  if (line.includes("I won the election") || line.includes("this worker was elected")) return name;
  return /node (\S+)\.\d+ elected for/.exec(line)?.[1] ?? /winner=(\S+)/.exec(line)?.[1];
}

test(`each of ${ROUNDS} elections has one winner, whoever begins it`, async () => {
  const pythons = await startPythons();
  const all = [...ours, ...pythons];
  const record = fleet.app.remote<(key: string, value: string) => string>("demo.record");
  const decided: string[] = [];
  const acks = new Map<string, number>();
  const receiver = fleet.app.events.receiver({
    routingKey: "worker.#",
    handlers: {
      "*": (event) => {
        if (event.type !== "worker-elect-ack") return;
        const { id } = event as unknown as { readonly id: string };
        acks.set(id, (acks.get(id) ?? 0) + 1);
      },
    },
  });
  await receiver.start();
  while (decided.length < ROUNDS) {
    const id = `election-${decided.length};`;
    if (decided.length % 2 === 0) {
      const action = record.s("won", id).set({ queue: "won" });
      await fleet.app.control.broadcast("election", { id, topic: "task", action });
    } else {
      await fleet.python.run(
        `
        action = record.s("won", args).set(queue="won")
        app.control.broadcast("election", arguments={"id": args, "topic": "task", "action": action})
        `,
        id,
      );
    }
    await eventually(`all have decided ${id}`, () => all.every((one) => winnerBy(one, id)));
    const named = all.map((one) => winnerBy(one, id));
    expect([...new Set(named)], `${id} ${named.join()}`).toHaveLength(1);
    decided.push(id);
    // One after the other: a worker of Celery's that still reads the last one's acks joins too late to count the next one's.
    await eventually("everybody has acknowledged everybody", () => acks.get(id) === all.length ** 2);
  }
  await receiver.close();
  // What the winners were to do, done.
  await fleet.worker({ hostname: "does@test", queues: ["won"] });
  const won = await eventually("all is done", async () => {
    const seen = (await fleet.seen("won")) as [string, string][];
    const ids = seen.map(([, id]) => id).filter((id) => decided.includes(id));
    return ids.length >= ROUNDS && ids;
  });
  expect(won.sort()).toEqual(decided.sort());
  expect(all.map(({ log }) => log()).join("")).not.toMatch(/ERROR|CRITICAL|Traceback/);
}, 180_000);
