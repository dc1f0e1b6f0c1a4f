/**
 * Every command of remote control from Python's command line to our worker, and from ours to Python's: the answers are the
 * same. The lists are the command lines' own, so that no command can be forgotten.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { celery, petiole, type Ran } from "./command-lines.ts";
import { type CliWorker, type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
let ours: CliWorker;
const HOLD = "gate-commands";

/** Where a command line speaks to a worker of the other language. */
interface Side {
  readonly node: string;
  readonly queue: string;
  readonly ask: (...words: string[]) => Promise<Ran>;
}

const SIDES: readonly Side[] = [
  { node: "ts@commands", queue: "ts", ask: (...words) => celery(fleet, ...words) },
  { node: "py@commands", queue: "py", ask: (...words) => petiole(fleet, ...words) },
];

beforeAll(async () => {
  fleet = await startFleet({ config: { worker_pool_restarts: true } });
  const [ts, py] = ["ts@commands", "py@commands"] as const;
  ours = await fleet.cliWorker({ name: ts, queues: ["ts"], args: ["-P", "prefork"] });
  await fleet.pythonWorker({ name: py, queues: ["py"], cluster: true });
  await Promise.all(
    ["ts", "py"].map((queue) => fleet.app.sendTask("demo.hold", [HOLD], { queue, taskId: `held-${queue}` })),
  );
  await eventually("both run a task", async () => {
    const active = await fleet.app.control.inspect().active();
    return [ts, py].every((node) => active[node]?.length === 1);
  });
}, 60_000);

afterAll(() => fleet?.stop());

/** What a worker says, below its name. */
type Answer = RegExp | ((side: Side) => RegExp);

const lines = (...all: string[]): RegExp => new RegExp(`^${all.join("\\n")}$`);
const EMPTY = /^ {4}- empty -$/;
const NUMBER = "[\\d.]+";

/** `words` after the command (QUEUE: that of the side), and what comes; in this order. */
const COMMANDS: readonly (readonly [words: string, answer: Answer])[] = [
  ["inspect ping", lines(" {8}pong")],
  ["inspect clock", lines(" {4}{", ' {8}"clock": \\d+', " {4}}")],
  [
    "inspect active",
    ({ node, queue }) =>
      new RegExp(
        `^    \\* {'id': 'held-${queue}', 'name': 'demo.hold', 'args': \\['${HOLD}'\\], 'kwargs': {}, .*'hostname': '${node}', .*'acknowledged': True, .*'worker_pid': \\d+}$`,
      ),
  ],
  [
    "inspect query_task unknown held-ts held-py",
    ({ queue }) => new RegExp(`^ {4}{\n {8}"held-${queue}": \\[\n {12}"active",\n[^]*"name": "demo.hold"`),
  ],
  ["control terminate SIGKILL held-QUEUE", ({ queue }) => lines(` {8}terminate: held-${queue}`)],
  [
    "inspect active_queues",
    ({ queue }) =>
      new RegExp(
        `^    \\* {'name': '${queue}', 'exchange': {'name': '${queue}', 'type': 'direct', .*'routing_key': '${queue}', .*'max_priority': None}$`,
      ),
  ],
  ["inspect reserved", EMPTY],
  ["inspect scheduled", EMPTY],
  ["inspect registered", /^ {4}\* demo\.add\n(?: {4}\* \S+\n)* {4}\* demo\.wrap$/],
  ["inspect registered max_retries", /^(?: {4}\* .*\n)* {4}\* demo\.flaky \[max_retries=5\]\n/],
  ["inspect stats", ({ queue }) => statsOf(queue)],
  ["inspect conf", /"task_serializer"|"worker_pool_restarts": true/],
  ["inspect conf true", /"task_serializer": "json"/],
  ["inspect report", /\n {8}software -> (?:petiole|celery):\S+ [^]*broker_url: 'redis:\/\//],
  ["inspect memsample", ({ queue }) => (queue === "ts" ? new RegExp(`^    ${NUMBER}MB$`) : /^ {4}None$/)],
  [
    "inspect memdump",
    /^ {4}- (?:rss: \(psutil not installed\)\.|rss \(sample 0\): [\d.]+MB\n {4}- heap: [\d.]+MB, external: [\d.]+MB)/,
  ],
  ["control add_consumer late", lines(" {8}add consumer late")],
  ["control cancel_consumer late", lines(" {8}no longer consuming from late")],
  ["control enable_events", lines(" {8}task events enabled")],
  ["control enable_events", lines(" {8}task events already enabled")],
  ["control disable_events", lines(" {8}task events disabled")],
  ["control heartbeat", lines(" {4}None")],
  ["control pool_grow 1", lines(" {8}pool will grow")],
  ["control pool_shrink 1", lines(" {8}pool will shrink")],
  ["control rate_limit demo.echo 5/m", lines(" {8}new rate limit set successfully")],
  ["control rate_limit demo.nothing 5/m", / {8}unknown task$/],
  ["control time_limit demo.echo 5 10", lines(" {8}time limits set successfully")],
  ["control revoke one", lines(" {8}tasks {'one'} flagged as revoked")],
  ["inspect revoked", /^(?: {4}\* (?:one|held-ts|held-py)(?:\n|$)){2}$/],
  [
    "control revoke_by_stamped_headers tenant=acme",
    lines(" {8}headers {'tenant': 'acme'} flagged as revoked, but not terminated"),
  ],
  ["control terminate SIGTERM nobody", lines(" {8}terminate: tasks unknown")],
  ["control autoscale 4 2", lines(" {8}ValueError\\('Autoscale not enabled'\\)")],
  ["control pool_restart", lines(" {8}reload started")],
];

/** Of Python's command line alone: what our own does not send, since it can do nothing. */
const PYTHONS_ALONE: readonly (readonly [words: string, answer: RegExp])[] = [
  [
    "control election",
    /TypeError\("election\(\) missing 2 required positional arguments: 'id' and 'topic'"\)/,
  ],
  ["inspect objgraph", / {8}KeyError\('objgraph'\)/],
];

function statsOf(queue: string): RegExp {
  const total = queue === "ts" ? '"total": {' : '"total": {}';
  return new RegExp(
    `"broker": {[^]*"hostname": "127.0.0.1",[^]*"pid": \\d+,[^]*"max-concurrency": 2,[^]*"prefetch_count": 8,[^]*"rusage": {[^]*${total.slice(0, -1)}`,
  );
}

/** Asks, and gives what is below `->  node: OK` (or ERROR); asserts all around it. */
async function answered({ node, queue, ask }: Side, words: string): Promise<string> {
  const ran = await ask(...words.replace("QUEUE", queue).split(" "), "-d", node);
  const inspected = words.startsWith("inspect");
  const found = /^->\s\s(\S+): (OK|ERROR)\n([^]*?)\n*(?:\n1 node online\.\n+)?$/.exec(ran.out);
  if (found === null) throw new Error(`${words}: exit code ${ran.code}\n${ran.out}\n${ran.err}`);
  expect([ran.code, found[1], ran.err]).toEqual([0, node, ""]);
  expect(ran.out.includes("1 node online.")).toBe(inspected);
  return (found[3] ?? "").trimEnd();
}

describe("every command", () => {
  test.each(COMMANDS.map(([words, answer], index) => [`${index + 1}. ${words}`, words, answer] as const))(
    "%s",
    async (_title, words, answer) => {
      const got = await Promise.all(SIDES.map((side) => answered(side, words)));
      for (const [index, text] of got.entries()) {
        const side = SIDES[index] as Side;
        expect(text).toMatch(typeof answer === "function" ? answer(side) : answer);
      }
    },
  );

  test.each(PYTHONS_ALONE)("%s, of Python's alone", async (words, answer) => {
    expect(await answered(SIDES[0] as Side, words)).toMatch(answer);
  });

  test("that Celery lists was asked, and ours has those that are asked of it", async () => {
    const named = (text: string): string[] =>
      [...text.matchAll(/^ {2}([a-z_]+)/gm)].map(([, name = ""]) => name);
    const asked = (all: readonly (readonly [string, unknown])[]): Set<string> =>
      new Set(all.map(([words]) => words.split(" ")[1] ?? ""));
    const [inPython, inOurs] = await Promise.all(
      [celery, petiole].map(async (line) => {
        const [inspect, control] = await Promise.all([
          line(fleet, "inspect", "--list"),
          line(fleet, "control", "--list"),
        ]);
        return new Set([...named(inspect?.out ?? ""), ...named(control?.out ?? "")]);
      }),
    );
    expect(inPython?.size).toBeGreaterThan(25);
    expect(asked([...COMMANDS, ...PYTHONS_ALONE, ["control shutdown", null]])).toEqual(inPython);
    // Ours lists commands besides that Celery does not have.
    expect([...asked(COMMANDS)].filter((name) => !inOurs?.has(name))).toEqual([]);
  });

  test("status counts both", async () => {
    for (const { ask } of SIDES) {
      const { code, out } = await ask("status");
      expect([code, out.trim().split("\n").sort()]).toEqual([
        0,
        ["", "->  py@commands: OK", "->  ts@commands: OK", "2 nodes online."],
      ]);
    }
  });

  test("shutdown ends the worker, and nobody is there any more", async () => {
    for (const { node, ask } of SIDES) {
      expect((await ask("control", "shutdown", "-d", node)).out).toBe("");
      const gone = await eventually(`${node} is gone`, async () => {
        const ran = await ask("status", "-d", node, "-t", "0.5");
        return ran.code !== 0 && ran;
      });
      expect([gone.code, gone.err + gone.out]).toEqual([
        69,
        expect.stringContaining("No nodes replied within time constraint"),
      ]);
    }
    const errors = ours
      .log()
      .split("\n")
      .filter((line) => /ERROR|CRITICAL/.test(line));
    expect(errors).toEqual([expect.stringContaining("rate limit of a task that is not registered")]);
  });
});
