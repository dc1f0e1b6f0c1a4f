/** Workers and clients of the cluster run, of both languages. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { start } from "../lib/process-tree.mjs";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const READY_MS = 40_000;
/** Celery 5.6.3 dies of an election that it decides on one candidate. */
const isCelerysDeath = (log) => log.includes("in sort_heap") && log.includes("IndexError");

/** A worker; its log is kept whole. */
export class Member {
  #program;
  #log = "";

  constructor(kind, name, { env, python }) {
    this.kind = kind;
    this.name = name;
    const words = ["worker", "-n", name, "-c", "2", "-Q", `${kind},both`, "-E", "-l", "DEBUG"];
    this.#program =
      kind === "ts"
        ? start(process.execPath, [file("../../dist/cli/main.js"), "-A", file("tasks.mjs"), ...words], {
            cwd: file("../../"),
            env,
          })
        : start(python, ["-m", "celery", "-A", "cluster_tasks", ...words], {
            cwd: file("."),
            env: { ...env, PYTHONUNBUFFERED: "1", PYTHONDONTWRITEBYTECODE: "1" },
          });
    for (const stream of [this.#program.child.stdout, this.#program.child.stderr]) {
      stream.on("data", (text) => (this.#log += text));
    }
  }

  get pid() {
    return this.#program.pid;
  }

  get running() {
    return this.#program.running;
  }

  get died() {
    return this.kind === "py" && isCelerysDeath(this.#log);
  }

  async ready() {
    await this.says(/ready/, "is ready");
    return this;
  }

  /** Until its log has this. */
  async says(pattern, what) {
    const deadline = Date.now() + READY_MS;
    while (!pattern.test(this.#log)) {
      if (!this.running) throw new Error(`${this.name} ended: ${this.#log.slice(-2000)}`);
      if (Date.now() > deadline)
        throw new Error(`${this.name}: never so: ${what}. ${this.#log.slice(-2000)}`);
      await pause(20);
    }
  }

  /** Until it has heard that another one has joined. */
  knows({ name }) {
    const node = name.replaceAll(".", "\\.");
    return this.says(new RegExp(`${node} joined the party|a worker joined node=${node}`), `it knows ${name}`);
  }

  /** Entries of its log (a line, with the traceback behind it) that speak of trouble, but for those that are expected. */
  complaints(expected) {
    return this.#log
      .split(/\n(?=\[\d{4}-)/)
      .filter((line) => /\b(?:ERROR|CRITICAL|WARNING|WARN)\b|Traceback|missed heartbeat|drift/i.test(line))
      .filter((line) => !expected.some((pattern) => pattern.test(line)))
      .map((line) => `${this.name}: ${line.slice(0, 2000)}`);
  }

  /** Whom it names as the winner of an election; null: nobody yet. */
  winnerOf(id) {
    for (const line of this.#log.split("\n")) {
      if (!line.includes(id)) continue;
      if (/I won the election|this worker was elected/.test(line)) return this.name;
      const found = /node (\S+)\.\d+ elected for/.exec(line) ?? /was elected .*winner=(\S+)/.exec(line);
      if (found) return found[1];
    }
    return null;
  }

  /** Warm; its exit code. */
  async stop() {
    await this.#program.stop("SIGTERM", 20_000);
    return this.#program.exited;
  }
}

/** Celery as a client. */
export class PythonClient {
  #child;
  #waiting = [];
  #up;

  constructor({ env, python }) {
    this.#child = spawn(python, ["client.py"], {
      cwd: file("."),
      env: { ...env, PYTHONDONTWRITEBYTECODE: "1" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    process.once("exit", () => this.#child.kill("SIGKILL"));
    createInterface({ input: this.#child.stdout }).on("line", (line) =>
      this.#waiting.shift()?.(JSON.parse(line)),
    );
    this.#child.once("exit", () =>
      this.#waiting.splice(0).forEach((settle) => settle({ error: "it ended" })),
    );
    this.#up = this.#answer();
  }

  ready() {
    return this.#up;
  }

  #answer() {
    return new Promise((resolve, reject) => {
      this.#waiting.push(({ replies, error }) =>
        error === undefined ? resolve(replies) : reject(new Error(`the Python client: ${error}`)),
      );
    });
  }

  #ask(order) {
    const answer = this.#answer();
    this.#child.stdin.write(`${JSON.stringify(order)}\n`);
    return answer;
  }

  tasks(queue, numbers) {
    return this.#ask({ do: "tasks", queue, numbers });
  }

  command(name, args, nodes) {
    return this.#ask({ do: "command", name, arguments: args, nodes });
  }

  election(id) {
    return this.#ask({ do: "election", id });
  }

  close() {
    this.#child.stdin.end();
  }
}

/** Our app as a client. */
export async function ourClient() {
  const { add, app, elected } = await import("./tasks.mjs");
  return {
    ready: async () => {},
    tasks: async (queue, numbers) => {
      const results = await app.sendMany(numbers.map((n) => add.s(n, n).set({ queue })));
      return Promise.all(results.map((one) => one.get({ timeout: 30 })));
    },
    command: (name, args, nodes) =>
      app.control.broadcast(name, args, { reply: true, timeout: 10, limit: nodes }),
    election: (id) =>
      app.control.broadcast("election", {
        id,
        topic: "task",
        action: elected.s(id).set({ queue: "both", ignoreResult: true }),
      }),
    close: () => app.close(),
  };
}
