/** Python's Celery as a client and as a worker, in processes of their own, stopped by their pids. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { eventually } from "./eventually.ts";
import { oracleDir, type PythonFork, startPython } from "./python-forks.ts";

export { python } from "./python-forks.ts";

const START_MS = 60_000;
const STOP_MS = 15_000;
const CALL_MS = 60_000;

export interface PythonOptions {
  readonly broker: string;
  readonly backend?: string;
  /** Celery's lower-case settings. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
}

function environment(options: PythonOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    ORACLE_BROKER: options.broker,
    ...(options.backend === undefined ? {} : { ORACLE_BACKEND: options.backend }),
    ORACLE_CONFIG: JSON.stringify(options.config ?? {}),
    ...options.env,
  };
}

/** What Python's interpreter answered: `value` in kombu's JSON, `type` and `repr` as Python sees it. */
export interface PythonValue {
  readonly value: unknown;
  readonly type: string;
  readonly repr: string;
}

/** What was raised in Python. `args` are reprs. */
export class PythonError extends Error {
  readonly type: string;
  readonly module: string;
  readonly args: readonly string[];
  readonly traceback: string;
  constructor(error: { type: string; module: string; message: string; args: string[]; traceback: string }) {
    super(`${error.type}: ${error.message}\n${error.traceback}`);
    this.type = error.type;
    this.module = error.module;
    this.args = error.args;
    this.traceback = error.traceback;
  }
}

export interface PythonClient {
  /** Runs the body of a Python function (see test/oracle/driver.py) and gives what it returns. */
  run(code: string, args?: unknown): Promise<PythonValue>;
  /** `run(...).value`, for values that need no look at their Python type. */
  value<T = unknown>(code: string, args?: unknown): Promise<T>;
  /** What the code raises; an error when it raises nothing. */
  raised(code: string, args?: unknown): Promise<PythonError>;
  stop(): Promise<void>;
}

export async function startPythonClient(options: PythonOptions): Promise<PythonClient> {
  const child = await startPython([`${oracleDir}/driver.py`], environment(options));
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const waiting = new Map<number, (reply: Record<string, unknown>) => void>();
  let ready = false;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const reply = JSON.parse(line) as Record<string, unknown>;
    if ("ready" in reply) ready = true;
    const id = Number(reply["id"]);
    waiting.get(id)?.(reply);
    waiting.delete(id);
  });
  child.once("exit", () => {
    for (const settle of waiting.values()) settle({ died: stderr });
  });
  await eventually(
    "the Python client is ready",
    () => {
      if (child.ended) throw new Error(stderr);
      return ready;
    },
    { timeoutMs: START_MS },
  );
  let last = 0;
  const call = async (code: string, args?: unknown): Promise<Record<string, unknown>> => {
    last += 1;
    const id = last;
    const reply = await new Promise<Record<string, unknown>>((resolve, reject) => {
      if (child.ended) {
        reject(new Error(`the Python client has ended: ${stderr}`));
        return;
      }
      const timer = setTimeout(() => {
        reject(new Error(`no answer from Python in ${CALL_MS} ms to: ${code}\n${stderr}`));
      }, CALL_MS);
      waiting.set(id, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
      child.stdin.write(`${JSON.stringify({ id, code, args })}\n`);
    });
    if ("died" in reply) throw new Error(`the Python client ended: ${String(reply["died"])}`);
    return reply;
  };
  const run = async (code: string, args?: unknown): Promise<PythonValue> => {
    const reply = await call(code, args);
    if ("error" in reply)
      throw new PythonError(reply["error"] as ConstructorParameters<typeof PythonError>[0]);
    return { value: reply["value"], type: String(reply["type"]), repr: String(reply["repr"]) };
  };
  return {
    run,
    value: async <T>(code: string, args?: unknown) => (await run(code, args)).value as T,
    async raised(code, args) {
      const reply = await call(code, args);
      if (!("error" in reply)) throw new Error(`nothing was raised; it returned ${String(reply["repr"])}`);
      return new PythonError(reply["error"] as ConstructorParameters<typeof PythonError>[0]);
    },
    async stop() {
      if (child.ended) return;
      const gone = once(child, "exit");
      child.stdin.end();
      const timer = setTimeout(() => child.kill("SIGKILL", "group"), STOP_MS);
      await gone;
      clearTimeout(timer);
    },
  };
}

export interface PythonProgram {
  /** What it printed so far. */
  output(): string;
  /** Interrupts it, and waits for its end. */
  stop(): Promise<void>;
}

interface Started {
  readonly child: PythonFork;
  readonly output: () => string;
  /** The signal, to the whole group or to the process alone; waits for the end. */
  readonly end: (signal: NodeJS.Signals, whom: "group" | "process") => Promise<void>;
}

/** `celery -A tasks …`, in a process group of its own. */
async function startCelery(words: readonly string[], options: PythonOptions): Promise<Started> {
  const child = await startPython(["-m", "celery", "-A", "tasks", ...words], environment(options));
  child.stdin.end();
  let output = "";
  const keep = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  return {
    child,
    output: () => output,
    end: async (signal, whom) => {
      if (child.ended) return;
      const gone = once(child, "exit");
      child.kill(signal, whom);
      const timer = setTimeout(() => child.kill("SIGKILL", "group"), STOP_MS);
      await gone;
      clearTimeout(timer);
    },
  };
}

/** `celery -A tasks …`: any command but `worker`. */
export async function startPythonProgram(
  words: readonly string[],
  options: PythonOptions,
): Promise<PythonProgram> {
  const { output, end } = await startCelery(words, options);
  return { output, stop: () => end("SIGINT", "process") };
}

export interface PythonWorkerOptions extends PythonOptions {
  readonly name: string;
  readonly concurrency?: number;
  readonly pool?: "prefork" | "threads" | "solo";
  readonly queues?: readonly string[];
  /** Synchronises with other workers at its start. Default: false. */
  readonly mingle?: boolean;
  /** With mingle, gossip and heartbeats, as in production. Default: without, they take a second. */
  readonly cluster?: boolean;
  /** Further arguments of `celery worker`. */
  readonly args?: readonly string[];
}

export interface PythonWorker {
  readonly pid: number;
  log(): string;
  /** Warm shutdown. May be called twice. */
  stop(): Promise<void>;
  /** The signal to the worker and its children; waits for the end. Default SIGKILL. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

/** `celery worker`, ready to work. */
export async function startPythonWorker(options: PythonWorkerOptions): Promise<PythonWorker> {
  const { name, concurrency = 2, pool = "prefork", queues, args = [] } = options;
  const line = ["worker", "-n", name, "-c", String(concurrency), "-P", pool];
  if (options.cluster !== true) {
    line.push("--without-gossip", "--without-heartbeat");
    if (options.mingle !== true) line.push("--without-mingle");
  }
  line.push("-l", "INFO", ...args);
  if (queues !== undefined) line.push("-Q", queues.join(","));
  const started = await startCelery(line, options);
  // A warm shutdown is asked of the parent alone, as a supervisor does.
  const end = (signal: NodeJS.Signals): Promise<void> =>
    started.end(signal, signal === "SIGTERM" ? "process" : "group");
  await eventually(
    `the Python worker ${name} is ready`,
    () => {
      if (started.child.ended) throw new Error(started.output());
      return started.output().includes(" ready.");
    },
    { timeoutMs: START_MS },
  ).catch(async (error: unknown) => {
    await end("SIGKILL");
    throw new Error(`${String(error)}\n${started.output()}`, { cause: error });
  });
  return {
    pid: started.child.pid,
    log: started.output,
    stop: () => end("SIGTERM"),
    kill: (signal = "SIGKILL") => end(signal),
  };
}
