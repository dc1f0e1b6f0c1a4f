/** `petiole dead`: from a message that was given up to its result. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type RedisServer, startRedis } from "../support/redis.ts";
import { CliProcess, type Ended, makeProject, type Project, petiole, petioleRun } from "./cli-support.ts";

const TASKS = `
import { Celery } from ${petiole};
export const app = new Celery("shop", {
  brokerUrl: process.env.SHOP_BROKER, resultBackend: process.env.SHOP_BACKEND,
  taskQueues: [{ name: "celery" }, { name: "mail" }],
});
app.task("shop.add", (x, y) => x + y);
app.task("mail.send", (to) => to);
`;

let redis: RedisServer;
let project: Project;
const workers: CliProcess[] = [];

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(() => redis.stop());
beforeEach(async () => {
  await redis.command("FLUSHALL");
  project = makeProject();
  project.write("tasks.mjs", TASKS);
});
afterEach(async () => {
  for (const one of workers) one.kill("SIGKILL");
  await Promise.all(workers.splice(0).map((one) => one.ended));
  project.remove();
});

const options = (input = ""): ConstructorParameters<typeof CliProcess>[1] => ({
  cwd: project.dir,
  env: { SHOP_BROKER: `${redis.url}/0`, SHOP_BACKEND: `${redis.url}/1` },
  input,
});
const run = (words: readonly string[], input = ""): Promise<Ended> =>
  petioleRun(["-A", "tasks.mjs", ...words], options(input));
const dead = (...words: readonly string[]): Promise<Ended> => run(["dead", ...words]);

/** Sends a task, and puts it on the dead list of its queue as if its holders had been lost. Answers its id. */
async function giveUp(
  task: string,
  args: string,
  how: { queue?: string; ageSeconds?: number } = {},
): Promise<string> {
  const { queue = "celery", ageSeconds = 0 } = how;
  const sent = await run(["call", task, "-a", args, "--queue", queue]);
  expect(sent.err).toBe("");
  const raw = await redis.command("RPOP", queue);
  const at = Math.floor(Date.now() / 1000) - ageSeconds;
  const line = JSON.stringify({ queue, reason: "its holder was lost 4 times", at, count: 4 });
  await redis.command("LPUSH", `${queue}.dead`, `${line}\n${raw}`);
  return sent.out.trim();
}

async function listed(...words: readonly string[]): Promise<Record<string, unknown>[]> {
  const { out, err, code } = await dead("list", "--json", ...words);
  expect({ err, code }).toEqual({ err: "", code: 0 });
  return out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("list, show, requeue: the task runs after all", async () => {
  const id = await giveUp("shop.add", "[2, 3]", { ageSeconds: 3 * 86_400 });
  const table = (await dead("list")).out;
  expect(table).toMatch(
    /^ID +AGE +QUEUE +TASK +LOST +REASON\n[0-9a-f]{12} +3d +celery +shop\.add +4 +its holder was lost 4 times\n$/,
  );
  const [letter] = await listed();
  expect(letter).toMatchObject({
    task: "shop.add",
    taskId: id,
    lostDeliveries: 4,
    args: "(2, 3)",
    isMessage: true,
  });
  const name = String(letter?.["id"]);
  const page = await dead("show", name.slice(0, 6));
  expect(page.out).toContain(`task id         ${id}\n`);
  expect(page.out).toContain('The message:\n{"body":"');
  expect(await dead("requeue", name)).toEqual({ code: 0, out: "Put back 1 message.\n", err: "" });
  expect((await dead("list")).out).toBe("No dead messages of celery, mail.\n");
  const worker = new CliProcess(["-A", "tasks.mjs", "worker", "-c", "1"], options());
  workers.push(worker);
  expect((await run(["result", id, "--timeout", "20"])).out).toBe("5\n");
});

test("what is put back or deleted can be narrowed by queue, task, reason and age", async () => {
  await giveUp("shop.add", "[1, 1]", { ageSeconds: 7200 });
  await giveUp("shop.add", "[2, 2]");
  await giveUp("mail.send", '["a@b"]', { queue: "mail" });
  const tasks = async (...words: string[]): Promise<unknown[]> =>
    (await listed(...words)).map((one) => one["args"]);
  expect(await tasks()).toEqual(["(2, 2)", "(1, 1)", "('a@b',)"]);
  expect(await tasks("-Q", "mail")).toEqual(["('a@b',)"]);
  expect(await tasks("-X", "mail")).toEqual(["(2, 2)", "(1, 1)"]);
  expect(await tasks("--older-than", "3600")).toEqual(["(1, 1)"]);
  expect(await tasks("--newer-than", "3600", "--task", "*.add")).toEqual(["(2, 2)"]);
  expect(await tasks("--task", "m*l.s*d")).toEqual(["('a@b',)"]);
  expect(await tasks("--task", "mail")).toEqual([]);
  expect(await tasks("--reason", "lost 4")).toHaveLength(3);
  expect(await tasks("--reason", "nothing")).toEqual([]);
  expect(await tasks("-n", "1")).toEqual(["(2, 2)"]);
  expect((await dead("requeue", "--all", "--older-than", "3600")).out).toBe("Put back 1 message.\n");
  expect((await dead("purge", "--all", "-Q", "mail", "-f")).out).toBe("Deleted 1 dead message.\n");
  expect(await tasks()).toEqual(["(2, 2)"]);
});

test("purge asks first", async () => {
  await giveUp("shop.add", "[1, 1]");
  const kept = await run(["dead", "purge", "--all"], "n\n");
  expect(kept).toMatchObject({ code: 1, err: expect.stringContaining("nothing was deleted") as unknown });
  expect(await listed()).toHaveLength(1);
  const deleted = await run(["dead", "purge", "--all"], "y\n");
  expect(deleted).toMatchObject({
    code: 0,
    out: expect.stringContaining("Deleted 1 dead message.\n") as unknown,
  });
});

test("what is no message stays, and reaches the terminal as plain text", async () => {
  const worker = new CliProcess(["-A", "tasks.mjs", "worker", "-c", "1"], options());
  workers.push(worker);
  await redis.command("LPUSH", "mail", "\u001b[2J no message");
  await eventually("it is dead", async () => (await redis.command("LLEN", "celery.dead")) === "1");
  const [letter] = await listed();
  expect(letter).toMatchObject({ queue: "mail", list: "celery.dead", isMessage: false, task: null });
  const shown = (await dead("show", String(letter?.["id"]))).out;
  expect(shown).toContain("It cannot be read as a message. It begins with:\n\\u001b[2J no message\n");
  expect(shown).not.toContain("\u001b");
  const { code, err } = await dead("requeue", "--all");
  expect(code).toBe(1);
  expect(err).toContain("1 entry cannot be read as a message, and stayed");
  expect(await listed()).toHaveLength(1);
});

test("refusals say what to do", async () => {
  await giveUp("shop.add", "[1, 1]");
  const refused = async (...words: string[]): Promise<string> => {
    const { code, err, out } = await dead(...words);
    expect({ code, out }).toEqual({ code: 64, out: "" });
    return err;
  };
  expect(await refused("fix")).toContain("list, show, requeue, purge");
  expect(await refused("requeue")).toContain("--all");
  expect(await refused("show")).toContain("needs ids");
  expect(await refused("show", "zzz")).toContain("there is no dead message zzz on the lists of celery, mail");
  await giveUp("shop.add", "[2, 2]");
  // Every id begins with nothing at all.
  expect(await refused("show", "")).toMatch(/could be [0-9a-f]{12} or [0-9a-f]{12}/);
});
