/** `petiole logtool` on the logs that workers of both languages wrote about the same tasks. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeProject, type Project, petioleRun } from "../integration/cli-support.ts";
import { eventually } from "../support/eventually.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
let project: Project;
const logs = new Map<string, () => string>();

beforeAll(async () => {
  project = makeProject();
  fleet = await startFleet();
  const [py, ts] = await Promise.all([
    fleet.pythonWorker({ name: "py@test", queues: ["py"] }),
    fleet.cliWorker({
      name: "ts@test",
      queues: ["ts"],
      concurrency: 2,
      args: ["-P", "prefork", "-l", "INFO"],
    }),
  ]);
  logs.set("py", () => py.log()).set("ts", () => ts.log());
});
afterAll(async () => {
  await fleet?.stop();
  project.remove();
});

async function logtool(action: string, queue: string): Promise<string> {
  const file = join(project.dir, `${queue}.log`);
  writeFileSync(file, logs.get(queue)?.() ?? "");
  const { code, out, err } = await petioleRun(["logtool", action, file, "--json"], { cwd: project.dir });
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return out;
}

test.each(["py", "ts"])(
  "%s: received, ended well and badly, tried again, killed, left open",
  async (queue) => {
    const send = (name: string, args: unknown[], options: object = {}): Promise<{ readonly id: string }> =>
      fleet.app.sendTask(name, args, { queue, ...options });
    await send("demo.add", [1, 2]);
    await send("demo.add", [3, 4]);
    await send("demo.flaky", [2]);
    await send("demo.ignore", []);
    const failed = await send("demo.fail", ["no stock left"]);
    const killed = await send("demo.hold", [`killed-${queue}`], { timeLimit: 1 });
    const open = await send("demo.hold", [`open-${queue}`]);
    await fleet.waiting(`open-${queue}`);
    await eventually("all but one have ended", async () => {
      const stats = JSON.parse(await logtool("stats", queue)) as { completed: number };
      return stats.completed === 6;
    });
    expect(JSON.parse(await logtool("stats", queue))).toEqual({
      total: 7,
      succeeded: 3,
      errors: 3,
      retries: 2,
      completed: 6,
      types: { "demo.add": 2, "demo.hold": 2, "demo.flaky": 1, "demo.ignore": 1, "demo.fail": 1 },
    });
    expect(JSON.parse(await logtool("incomplete", queue))).toEqual({ task: "demo.hold", id: open.id });
    const errors = (await logtool("errors", queue))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string });
    expect(new Set(errors.map((one) => one.id))).toEqual(new Set([failed.id, killed.id]));
    const traces = await logtool("traces", queue);
    expect(traces).toContain("no stock left");
    expect(await logtool("debug", queue)).toMatch(/ready/);
    await fleet.open(`open-${queue}`);
  },
);
