/** What is printed goes to the log, a line each: `worker_redirect_stdouts`. Python: `celery.utils.log.LoggingProxy`. */
import { stripVTControlCharacters } from "node:util";
import type { Logger } from "../base/logger.ts";
import type { TaskContext } from "../task/context-types.ts";
import { currentTask } from "../task/current.ts";

export type PrintLevel = "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL";

const METHODS = { DEBUG: "debug", INFO: "info", WARNING: "warn", ERROR: "error", CRITICAL: "error" } as const;
/** A line that is longer is cut into several. UTF-16 units. */
const LONGEST = 64 * 1024;

type Stream = NodeJS.WriteStream & { fd: 1 | 2 };
type Written = (error?: Error | null) => void;

/** Returns what gives standard output and standard error back. */
export function redirectStdouts(logger: Logger, level: PrintLevel): () => void {
  const ends = [process.stdout, process.stderr].map((stream) => redirect(stream, logger, METHODS[level]));
  return () => {
    for (const end of ends) end();
  };
}

function redirect(stream: Stream, logger: Logger, method: "debug" | "info" | "warn" | "error"): () => void {
  const write: Stream["write"] = Reflect.get(stream, "write");
  const lines = new Lines((text, task) => {
    const log = task?.log ?? logger;
    log[method]({}, text);
  });
  const redirected = (
    chunk: string | Uint8Array,
    encoding?: BufferEncoding | Written,
    written?: Written,
  ): boolean => {
    // The log itself writes here.
    if (lines.busy) return Reflect.apply(write, stream, [chunk, encoding, written]) as boolean;
    const done = typeof encoding === "function" ? encoding : written;
    const kind = typeof encoding === "string" ? encoding : "utf8";
    lines.add(
      typeof chunk === "string" && kind === "utf8" ? chunk : Buffer.from(chunk as string, kind).toString(),
    );
    if (done) process.nextTick(done);
    return true;
  };
  const onExit = (): void => lines.flush();
  stream.write = redirected;
  process.on("exit", onExit);
  return () => {
    lines.flush();
    process.off("exit", onExit);
    if (Reflect.get(stream, "write") === redirected) stream.write = write;
  };
}

/** Makes lines of what one turn of the event loop prints; what has no end of line then is one, too. */
class Lines {
  /** A line is being logged. */
  busy = false;
  readonly #log: (text: string, task: TaskContext | null) => void;
  #rest = "";
  /** Who printed the rest. */
  #task: TaskContext | null = null;
  #scheduled = false;

  constructor(log: (text: string, task: TaskContext | null) => void) {
    this.#log = log;
  }

  add(text: string): void {
    const task = currentTask();
    if (task !== this.#task) this.flush();
    this.#task = task;
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#say(line);
    if (this.#rest.length > LONGEST) this.flush();
    if (this.#rest === "") this.#task = null;
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.flush();
      });
    }
  }

  flush(): void {
    const rest = this.#rest;
    this.#rest = "";
    this.#say(rest);
    this.#task = null;
  }

  #say(line: string): void {
    const text = stripVTControlCharacters(line).trimEnd();
    if (text === "") return;
    this.busy = true;
    try {
      this.#log(text, this.#task);
    } finally {
      this.busy = false;
    }
  }
}
