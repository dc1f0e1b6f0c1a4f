/**
 * Programs of the oracle's Python: each is a fork of one process of this test file that has Celery loaded
 * (test/oracle/forkserver.py), since importing it costs half a second of processor time.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PassThrough } from "node:stream";
import { root } from "./built.ts";
import { trackProcess } from "./left-overs.ts";

/** Where the programs of the oracle are, and where they run. */
export const oracleDir: string = `${root}test/oracle`;
/** In the command line of each: the interpreter of the oracle. */
const oracleWord = ".venv/bin/python";

let found: string | undefined;

/** The interpreter that has Celery; installs it when it is not there yet. */
export function python(): string {
  if (found !== undefined) return found;
  const run = spawnSync(process.execPath, [`${root}scripts/oracle.mjs`], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const answer = JSON.parse(run.stdout) as { python?: string; reason?: string; command?: string };
  if (answer.python === undefined) throw new Error(`${answer.reason}. Mend with: ${answer.command}`);
  found = answer.python;
  return found;
}

/** As a `ChildProcess`: `exit` is told when it has ended, `close` when its output has, too. It leads a process group. */
export class PythonFork extends EventEmitter<{ started: []; exit: []; close: [] }> {
  readonly stdin: PassThrough = new PassThrough();
  readonly stdout: PassThrough = new PassThrough();
  readonly stderr: PassThrough = new PassThrough();
  exitCode: number | null = null;
  signalCode: string | null = null;
  /** 0 until it has one. */
  pid = 0;
  #open = 2;

  constructor() {
    super();
    for (const stream of [this.stdout, this.stderr]) {
      stream.once("end", () => {
        this.#open -= 1;
        this.#tellClose();
      });
    }
  }

  get ended(): boolean {
    return this.exitCode !== null || this.signalCode !== null;
  }

  kill(signal: NodeJS.Signals, whom: "group" | "process" = "process"): void {
    if (this.ended) return;
    try {
      process.kill(whom === "group" ? -this.pid : this.pid, signal);
    } catch {
      // Ended meanwhile.
    }
  }

  end(code: number | null, signal: number | null): void {
    this.exitCode = code;
    const named = Object.entries(constants.signals).find(([, number]) => number === signal);
    this.signalCode = named?.[0] ?? null;
    this.emit("exit");
    this.#tellClose();
  }

  #tellClose(): void {
    if (this.ended && this.#open === 0) this.emit("close");
  }
}

interface Answer {
  readonly id: number;
  readonly pid?: number;
  readonly code?: number | null;
  readonly signal?: number | null;
}

class ForkServer {
  readonly #process: ChildProcess;
  readonly #socket: string;
  readonly #programs = new Map<number, PythonFork>();
  #last = 0;

  constructor() {
    const dir = mkdtempSync(join(process.env["PETIOLE_TEST_DIR"] ?? tmpdir(), "forks-"));
    process.once("exit", () => rmSync(dir, { recursive: true, force: true }));
    this.#socket = join(dir, "s");
    const server = createServer({ allowHalfOpen: true }, (connection) => this.#connected(connection));
    server.listen(this.#socket).unref();
    const child = spawn(python(), ["-u", `${oracleDir}/forkserver.py`], {
      cwd: oracleDir,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    this.#process = child;
    trackProcess(child, oracleWord, true);
    createInterface({ input: child.stdout }).on("line", (line) => this.#told(JSON.parse(line) as Answer));
    child.once("exit", () => {
      for (const program of this.#programs.values()) {
        program.emit("started");
        if (!program.ended) program.end(null, constants.signals.SIGKILL);
      }
    });
    // It ends when its input does: with this process.
    child.unref();
    for (const stream of [child.stdin, child.stdout] as unknown as Socket[]) stream.unref();
  }

  async start(words: readonly string[], env: NodeJS.ProcessEnv): Promise<PythonFork> {
    this.#last += 1;
    const id = this.#last;
    const program = new PythonFork();
    this.#programs.set(id, program);
    const started = once(program, "started");
    this.#process.stdin?.write(`${JSON.stringify({ id, words, env, socket: this.#socket })}\n`);
    await started;
    trackProcess(program, oracleWord, true);
    return program;
  }

  #told({ id, pid, code, signal }: Answer): void {
    const program = this.#programs.get(id);
    if (program === undefined) return;
    if (pid !== undefined) {
      program.pid = pid;
      program.emit("started");
    } else program.end(code ?? null, signal ?? null);
  }

  /** Its first line says whose it is, and which. */
  #connected(connection: Socket): void {
    connection.unref();
    connection.on("error", () => {});
    connection.once("data", (first: Buffer) => {
      const end = first.indexOf("\n");
      const [id = 0, stream] = first.subarray(0, end).toString().split(" ").map(Number);
      const program = this.#programs.get(id);
      if (program === undefined) {
        connection.destroy();
        return;
      }
      if (stream === 0) {
        program.stdin.pipe(connection);
        return;
      }
      const output = stream === 1 ? program.stdout : program.stderr;
      output.write(first.subarray(end + 1));
      connection.pipe(output);
    });
  }
}

let server: ForkServer | undefined;

/** `python WORDS` in the oracle's folder: `-m celery …`, or a program of that folder. */
export function startPython(words: readonly string[], env: NodeJS.ProcessEnv): Promise<PythonFork> {
  server ??= new ForkServer();
  return server.start(words, env);
}
