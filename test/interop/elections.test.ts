/** Elections of a cluster of Python's and TypeScript workers: each has exactly one winner, and all name the same. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type CliWorker, type Fleet, startFleet } from "./harness.ts";

const ROUNDS = 40;
interface Member {
  readonly name: string;
  readonly log: () => string;
  readonly stop: () => Promise<unknown>;
}

let fleet: Fleet;
let ours: readonly Member[];

/** Celery 5.6.3 dies of a decision on one candidate, which a cluster of few and busy workers may come to. */
const isCelerysDeath = (log: string): boolean => log.includes("in sort_heap") && log.includes("IndexError");
const DEATHS_AT_MOST = 3;

beforeAll(async () => {
  fleet = await startFleet();
  const started = ["ts1@test", "ts2@test"].map(async (name): Promise<Member> => {
    const worker: CliWorker = await fleet.cliWorker({ name, queues: [name], args: ["-l", "debug"] });
    return { name, log: () => worker.log(), stop: () => worker.kill("SIGTERM") };
  });
  ours = await Promise.all(started);
}, 60_000);
afterAll(() => fleet?.stop());

/** Two workers of Python, when all know all. */
async function startPythons(generation: number): Promise<readonly Member[]> {
  const started = ["a", "b"].map(async (letter): Promise<Member> => {
    const name = `${letter}${generation}@test`;
    const args = ["-l", "DEBUG"];
    const worker = await fleet.pythonWorker({ name, cluster: true, pool: "solo", queues: ["py"], args });
    return { name, log: () => worker.log(), stop: () => worker.kill() };
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
  let generation = 1;
  let pythons = await startPythons(generation);
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
    const id = `election-${generation}-${decided.length};`;
    const all = [...ours, ...pythons];
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
    await eventually(
      `all have decided ${id}`,
      () => all.every((one) => winnerBy(one, id)) || pythons.some(({ log }) => isCelerysDeath(log())),
    );
    if (pythons.some(({ log }) => isCelerysDeath(log()))) {
      if (generation > DEATHS_AT_MOST) throw new Error("Celery's workers die of most elections");
      await Promise.all(pythons.map((one) => one.stop()));
      generation += 1;
      pythons = await startPythons(generation);
      continue;
    }
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
  expect([...ours, ...pythons].map(({ log }) => log()).join("")).not.toMatch(/ERROR|CRITICAL|Traceback/);
}, 180_000);
