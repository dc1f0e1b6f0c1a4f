/** The program as users start it: processes of its own, from the build. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { built, cli } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";

/** A folder with task modules, as a user has one. */
export interface Project {
  readonly dir: string;
  write(name: string, text: string): string;
  remove(): void;
}

export function makeProject(): Project {
  const dir = mkdtempSync(join(tmpdir(), "petiole-cli-"));
  const write = (name: string, text: string): string => {
    const file = join(dir, name);
    writeFileSync(file, text);
    return file;
  };
  write("package.json", '{ "type": "module" }');
  return { dir, write, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

/** `import … from "petiole"` of a module outside this repository. */
export const petiole: string = JSON.stringify(built("index.js"));

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly nodeArgs?: readonly string[];
}

/** The environment of this process without what Celery and the program read from it. */
function cleanEnv(more: RunOptions["env"]): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) =>
      !/^(CELERY_|APP$|BROKER_URL$|RESULT_BACKEND$|CONFIG_MODULE$|NO_COLOR$|FORCE_COLOR$|NODE_)/.test(name),
  );
  return { ...Object.fromEntries(kept), ...more };
}

export class CliProcess {
  out = "";
  err = "";
  readonly child: ChildProcess;
  readonly #ended: Promise<number | null>;

  constructor(words: readonly string[], options: RunOptions) {
    this.child = spawn(process.execPath, [...(options.nodeArgs ?? []), cli, ...words], {
      cwd: options.cwd,
      env: cleanEnv(options.env),
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.child.stdout?.on("data", (chunk: Buffer) => {
      this.out += chunk.toString();
    });
    this.child.stderr?.on("data", (chunk: Buffer) => {
      this.err += chunk.toString();
    });
    this.child.stdin?.end(options.input ?? "");
    this.#ended = once(this.child, "close").then(([code]) => code as number | null);
  }

  get text(): string {
    return this.out + this.err;
  }

  get ended(): Promise<Ended> {
    return this.#ended.then((code) => ({ code, out: this.out, err: this.err }));
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Until its output has this. */
  async says(pattern: RegExp, timeoutMs = 40_000): Promise<void> {
    await eventually(
      `the program says ${String(pattern)}`,
      () => {
        if (pattern.test(this.text)) return true;
        if (this.child.exitCode !== null)
          throw new Error(`it ended with ${this.child.exitCode}: ${this.text}`);
        return false;
      },
      { timeoutMs },
    );
  }
}

/** Runs it to its end. */
export function petioleRun(words: readonly string[], options: RunOptions): Promise<Ended> {
  return new CliProcess(words, options).ended;
}
