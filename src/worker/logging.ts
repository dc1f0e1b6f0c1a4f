/**
 * The worker's log: Celery's lines as text, or pino's JSON. Python: `celery/app/log.py`, `celery/app/trace.py`.
 *
 * The worker logs constant messages with fields; as text those of {@link LINES} become Celery's sentences. What comes from
 * outside (names, ids, results) cannot forge a line: control characters are shown as escapes.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { Clock } from "../base/clock.ts";
import { systemClock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured, PetioleError } from "../errors.ts";
import { compileFormat, type LineFormat } from "./log-format.ts";
import { sentence } from "./log-sentences.ts";

/** Celery's level names. */
export type LogLevel = "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL" | "FATAL";

/** A logger that owns its output. */
export interface WorkerLogger extends Logger {
  /** Whether a line of this level would be written. */
  isLevelEnabled(level: string): boolean;
  child(fields: object): WorkerLogger;
  /** Writes on in a new file of the same name: the old one was moved away. */
  reopen(): void;
  /** Writes what is buffered. To be called before the process ends. */
  flush(): void;
}

/** How a worker's log looks, and where it goes. */
export interface WorkerLoggerOptions {
  /** Default: WARNING. */
  readonly level?: LogLevel | undefined;
  /** Default: text. */
  readonly format?: "text" | "json" | undefined;
  /** Appended to. Default: standard error. */
  readonly file?: string | undefined;
  /** `worker_log_format`. */
  readonly logFormat?: string | undefined;
  /** `worker_task_log_format`: for lines that a task writes. */
  readonly taskLogFormat?: string | undefined;
  /** Of text: messages in the colour of their level. Default: no. */
  readonly color?: boolean | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
  /** Takes whole lines, instead of `file`. */
  readonly write?: ((text: string) => void) | undefined;
}

type Level = "debug" | "info" | "warn" | "error";

/** Order of levels. pino has one more at the end: `fatal`, which only silences us. */
const RANKS: Readonly<Record<string, number>> = { debug: 20, info: 30, warn: 40, error: 50, fatal: 60 };
const OURS: Readonly<Record<LogLevel, string>> = {
  DEBUG: "debug",
  INFO: "info",
  WARNING: "warn",
  ERROR: "error",
  CRITICAL: "fatal",
  FATAL: "fatal",
};
const SHOWN: Readonly<Record<Level, string>> = {
  debug: "DEBUG",
  info: "INFO",
  warn: "WARNING",
  error: "ERROR",
};

/** Celery's: escape codes that begin a message of this level. INFO has none. */
const COLORS: Readonly<Record<Level, string>> = {
  debug: "\u001b[34m",
  info: "",
  warn: "\u001b[33m",
  error: "\u001b[31m",
};
const NO_COLOR = "\u001b[39m";

/** Celery's defaults. */
const LOG_FORMAT = "[%(asctime)s: %(levelname)s/%(processName)s] %(message)s";
const TASK_LOG_FORMAT =
  "[%(asctime)s: %(levelname)s/%(processName)s] %(task_name)s[%(task_id)s]: %(message)s";

/** A logger of its own for one worker process. pino is loaded only for JSON. */
export async function createWorkerLogger(options: WorkerLoggerOptions = {}): Promise<WorkerLogger> {
  const level = OURS[options.level ?? "WARNING"];
  if (level === undefined) {
    throw new ImproperlyConfigured(
      `log level ${JSON.stringify(options.level)} is none of ${Object.keys(OURS).join(", ")}`,
    );
  }
  return options.format === "json" ? jsonLogger(level, options) : textLogger(level, options);
}

// ---- JSON

async function jsonLogger(level: string, options: WorkerLoggerOptions): Promise<WorkerLogger> {
  const { default: pino } = await import("pino");
  const { write, file } = options;
  // Opened once before: pino would tell of a file that it cannot open by an event that nobody hears.
  if (write === undefined && file !== undefined) closeSync(openLog(file));
  const destination =
    write === undefined ? pino.destination({ dest: file ?? 2, append: true, sync: true }) : { write };
  const logger = pino({ level }, destination);
  const flush = (): void => ("flushSync" in destination ? destination.flushSync() : undefined);
  const reopen = (): void =>
    "reopen" in destination && file !== undefined ? destination.reopen() : undefined;
  return Object.assign(logger as unknown as WorkerLogger, { flush, reopen });
}

// ---- text

function textLogger(level: string, options: WorkerLoggerOptions): WorkerLogger {
  const sink = options.write === undefined ? new LineSink(options.file ?? null) : null;
  return new TextLogger({
    rank: RANKS[level] ?? 0,
    line: compileFormat(options.logFormat ?? LOG_FORMAT),
    taskLine: compileFormat(options.taskLogFormat ?? TASK_LOG_FORMAT),
    color: options.color === true,
    clock: options.clock ?? systemClock,
    write: options.write ?? ((text) => sink?.write(text)),
    flush: () => sink?.flush(),
    reopen: () => sink?.reopen(),
    fields: null,
  });
}

interface TextParts {
  readonly rank: number;
  readonly line: LineFormat;
  readonly taskLine: LineFormat;
  readonly color: boolean;
  readonly clock: Clock;
  write(text: string): void;
  flush(): void;
  reopen(): void;
  /** Of a child. */
  readonly fields: Readonly<Record<string, unknown>> | null;
}

class TextLogger implements WorkerLogger {
  readonly #parts: TextParts;

  constructor(parts: TextParts) {
    this.#parts = parts;
  }

  isLevelEnabled(level: string): boolean {
    return (RANKS[level] ?? 0) >= this.#parts.rank;
  }

  debug(fields: object, message: string): void {
    if (this.#parts.rank <= 20) this.#log("debug", fields, message);
  }

  info(fields: object, message: string): void {
    if (this.#parts.rank <= 30) this.#log("info", fields, message);
  }

  warn(fields: object, message: string): void {
    if (this.#parts.rank <= 40) this.#log("warn", fields, message);
  }

  error(fields: object, message: string): void {
    if (this.#parts.rank <= 50) this.#log("error", fields, message);
  }

  child(fields: object): WorkerLogger {
    return new TextLogger({ ...this.#parts, fields: { ...this.#parts.fields, ...fields } });
  }

  flush(): void {
    this.#parts.flush();
  }

  reopen(): void {
    this.#parts.reopen();
  }

  #log(level: Level, fields: object, message: string): void {
    const { line, taskLine, color, clock, fields: own } = this.#parts;
    const all = { ...own, ...fields } as Readonly<Record<string, unknown>>;
    const isTask = own !== null && typeof own["task_id"] === "string";
    const plain = sentence(message, all, isTask);
    const text = color && COLORS[level] !== "" ? `${COLORS[level]}${plain}${NO_COLOR}` : plain;
    const format = isTask ? taskLine : line;
    this.#parts.write(`${format({ level: SHOWN[level], message: text, nowMs: clock.now(), fields: all })}\n`);
  }
}

/** Gathers the lines of one turn of the event loop, and writes them at once. */
class LineSink {
  readonly #file: string | null;
  /** As it was: what is printed may be sent to this log. */
  readonly #stderr = process.stderr.write.bind(process.stderr);
  #fd: number | null;
  #buffer = "";
  #scheduled = false;

  constructor(file: string | null) {
    this.#file = file;
    this.#fd = file === null ? null : openLog(file);
    process.once("exit", () => {
      this.flush();
      if (this.#fd !== null) closeSync(this.#fd);
    });
  }

  write(text: string): void {
    this.#buffer += text;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** The new file first: what cannot be opened leaves the old one. */
  reopen(): void {
    if (this.#file === null) return;
    const old = this.#fd;
    this.flush();
    this.#fd = openLog(this.#file);
    if (old !== null) closeSync(old);
  }

  flush(): void {
    const text = this.#buffer;
    this.#buffer = "";
    if (text === "") return;
    if (this.#fd === null) this.#stderr(text);
    else writeSync(this.#fd, text);
  }
}

function openLog(file: string): number {
  try {
    return openSync(file, "a");
  } catch (cause) {
    throw new PetioleError("PET_DAEMON", `the log file cannot be written: ${(cause as Error).message}`, {
      cause,
    });
  }
}
