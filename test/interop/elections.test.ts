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
  readonly kill: () => Promise<unknown>;
}

let fleet: Fleet;
let ours: readonly Member[];

beforeAll(async () => {
  fleet = await startFleet();
  const started = ["ts1@test", "ts2@test"].map(async (name): Promise<Member> => {
    const worker: CliWorker = await fleet.cliWorker({ name, queues: [name], args: ["-l", "debug"] });
    return { name, log: () => worker.log(), kill: () => worker.kill("SIGKILL") };
  });
  ours = await Promise.all(started);
}, 60_000);
afterAll(() => fleet?.stop());

/** Two workers of Python, when all know all. */
async function startPythons(generation: number): Promise<readonly Member[]> {
  const names = ["a", "b"].map((name) => `${name}${generation}@test`);
  const started = names.map(async (name): Promise<Member> => {
    const args = ["-l", "DEBUG"];
    const worker = await fleet.pythonWorker({ name, cluster: true, pool: "solo", queues: ["py"], args });
    return { name, log: () => worker.log(), kill: () => worker.kill() };
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

/**
 * On a machine that is so busy that heartbeats are late, a worker of Celery's takes others for gone, waits for fewer acks, and
 * dies of a single candidate (IndexError in kombu's sort_heap).
 */
const isCelerysDeath = ({ log }: Member): boolean =>
  log().includes("in sort_heap") && log().includes("IndexError");

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
  let pythons = await startPythons(1);
  let all = [...ours, ...pythons];
  let begun = 0;
  let deaths = 0;
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
    const id = `election-${begun};`;
    begun += 1;
    if (begun % 2 === 1) {
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
      `all have decided ${id}, or one has died of it`,
      () => pythons.some(isCelerysDeath) || all.every((one) => winnerBy(one, id)),
    );
    if (pythons.some(isCelerysDeath)) {
      deaths += 1;
      if (deaths > 3) throw new Error(`Celery's workers have died ${deaths} times`);
      await Promise.all(pythons.map((one) => one.kill()));
      await eventually(
        "ours know that they are gone",
        () =>
          ours.every((one) =>
            pythons.every(({ name }) =>
              new RegExp(`(?:a worker left|missed heartbeat of a worker) node=${name}`).test(one.log()),
            ),
          ),
        { timeoutMs: 60_000 },
      );
      pythons = await startPythons(deaths + 1);
      all = [...ours, ...pythons];
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
  expect(all.map(({ log }) => log()).join("")).not.toMatch(/ERROR|CRITICAL|Traceback/);
}, 180_000);
