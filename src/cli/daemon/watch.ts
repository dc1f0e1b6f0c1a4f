/**
 * `--watch`: a process that starts the worker, and starts it anew when a module that it has loaded changes.
 *
 * | state    | a module changed                        | the worker ended                                  | SIGINT, SIGTERM, SIGQUIT |
 * |----------|-----------------------------------------|---------------------------------------------------|--------------------------|
 * | up       | warm stop, -> stopping                  | by itself (0, 64, 73): its code; else told, -> down | passed on, -> ending   |
 * | stopping | nothing: it is started anew anyway      | started, -> up                                    | passed on, -> ending     |
 * | down     | started, -> up                          |                                                   | the worker's last code   |
 * | ending   | nothing                                 | its code                                          | passed on                |
 *
 * The worker has a session of its own, so that Ctrl-C reaches it once, through this process; when this process is killed
 * the worker stops warm. A change while nothing runs is the only way from `down`: no loop of crashes.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { Logger } from "../../base/logger.ts";
import type { ExitCode } from "../io.ts";
import { WATCHED } from "./marks.ts";
import { WatchedFiles } from "./watched-files.ts";

/** Node tells its parent of each module that it loads: `node --watch` lives on that. */
const REPORT_MODULES = "WATCH_REPORT_DEPENDENCIES";
const SIGNALS = ["SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP"] as const;
/** Ends that another start would only repeat: told to stop, a wrong command line, a pid file that is taken. */
const FINAL: ReadonlySet<number | null> = new Set([0, 64, 73]);
const OWN_FOLDER = fileURLToPath(new URL("../../", import.meta.url));

export interface SuperviseOptions {
  /** Of the command line. */
  readonly words: readonly string[];
  readonly cwd: string;
  /** The app's module: watched also while it cannot be loaded. */
  readonly file: string;
  /** What the worker is told besides. */
  readonly env?: Readonly<Record<string, string>>;
  readonly logger: Logger;
}

/** In the worker: the process above it is gone, nobody would start or stop it any more. */
export function stopWithSupervisor(): void {
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
}

export function supervise(options: SuperviseOptions): Promise<ExitCode> {
  return new Promise((resolve) => new Supervisor(options, resolve).start());
}

type State = "up" | "stopping" | "down" | "ending";

class Supervisor {
  readonly #options: SuperviseOptions;
  readonly #done: (code: ExitCode) => void;
  readonly #files: WatchedFiles;
  #state: State = "down";
  #worker: ChildProcess | null = null;
  /** Of the last worker. */
  #code: ExitCode = 0;
  readonly #onSignal = (signal: NodeJS.Signals): void => this.#heard(signal);

  constructor(options: SuperviseOptions, done: (code: ExitCode) => void) {
    const { logger } = options;
    this.#options = options;
    this.#done = done;
    this.#files = new WatchedFiles({
      onChange: (file) => this.#changed(file),
      onError: (folder, err) => logger.error({ folder, err }, "a folder cannot be watched for changes"),
    });
  }

  start(): void {
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
    this.#files.add(this.#options.file);
    this.#run();
  }

  #run(): void {
    const { words, cwd, env, logger } = this.#options;
    // What is read now is what the worker loads.
    this.#files.look();
    this.#files.newOnes = false;
    this.#state = "up";
    const worker = spawn(
      process.execPath,
      [
        // The debugger of this process has its port already.
        ...process.execArgv.filter((one) => !one.startsWith("--inspect")),
        process.argv[1] ?? "",
        ...words,
      ],
      {
        cwd,
        detached: true,
        env: { ...process.env, ...env, [WATCHED]: "1", [REPORT_MODULES]: "1" },
        stdio: ["ignore", "inherit", "inherit", "ipc"],
      },
    );
    this.#worker = worker;
    worker.on("message", (message) => this.#loaded(message));
    worker.once("error", (err) => {
      logger.error({ err }, "the worker's process could not be started");
      if (worker.pid === undefined) this.#ended(1, null);
    });
    worker.once("exit", (code, signal) => this.#ended(code, signal));
  }

  #loaded(message: unknown): void {
    if (typeof message !== "object" || message === null) return;
    const { "watch:import": imported, "watch:require": required } = message as Record<string, unknown>;
    for (const one of [imported, required].flat()) {
      const file = typeof one === "string" ? fileOf(one) : null;
      if (file !== null && isOfProject(file)) this.#files.add(file);
    }
  }

  #changed(path: string): void {
    const { logger, cwd } = this.#options;
    const file = relative(cwd, path);
    if (this.#state === "up") {
      logger.info({ file }, "a module changed: the worker is started anew when its running tasks are done");
      this.#state = "stopping";
      // The first one is a warm stop, whatever SIGTERM is mapped to.
      this.#worker?.kill("SIGINT");
    } else if (this.#state === "down") {
      logger.info({ file }, "a module changed: the worker is started");
      this.#run();
    }
  }

  #ended(code: number | null, signal: NodeJS.Signals | null): void {
    this.#worker = null;
    this.#code = code === 0 || code === 64 || code === 69 || code === 73 ? code : 1;
    if (this.#state === "stopping") this.#run();
    else if (this.#state === "ending" || FINAL.has(code)) this.#end();
    else {
      this.#state = "down";
      this.#files.newOnes = true;
      this.#options.logger.warn(
        signal === null ? { exitCode: code } : { signal },
        "the worker has ended: it is started anew when a module changes",
      );
    }
  }

  #heard(signal: NodeJS.Signals): void {
    if (this.#worker === null) {
      this.#end();
      return;
    }
    // With a log file it is opened anew; without, the worker ends by itself.
    if (signal !== "SIGHUP") this.#state = "ending";
    this.#worker.kill(signal);
  }

  #end(): void {
    this.#files.close();
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
    this.#done(this.#code);
  }
}

/** Of a file URL (with a query, as loaders add one) or a path; null: of neither. */
function fileOf(module: string): string | null {
  if (!module.startsWith("file:")) return module.startsWith("node:") ? null : module;
  try {
    return fileURLToPath(module);
  } catch {
    return null;
  }
}

function isOfProject(file: string): boolean {
  return !file.includes(`${sep}node_modules${sep}`) && !file.startsWith(OWN_FOLDER);
}
