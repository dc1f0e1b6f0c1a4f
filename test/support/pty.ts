/** A program in a terminal of its own, and what is on that terminal's screen. Python's pty does it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { root } from "./built.ts";
import { eventually } from "./eventually.ts";

const ESC = "\u001b";
const PIECES = new RegExp(`${ESC}\\[[?\\d;]*[A-Za-z]|[\\s\\S]`, "gu");

export interface PtyOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly rows: number;
  readonly columns: number;
}

export class Pty {
  /** Everything that was written to the terminal. */
  raw = "";
  readonly child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #grid: string[][] = [];
  #row = 0;
  #column = 0;

  constructor(program: readonly string[], { cwd, env, rows, columns }: PtyOptions) {
    const helper = join(root, "test/support/pty-run.py");
    this.child = spawn("python3", [helper, String(rows), String(columns), ...program], {
      cwd,
      env: { TERM: "xterm-256color", ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdout?.setEncoding("utf8");
    this.child.stdout?.on("data", (text: string) => {
      this.raw += text;
      this.#draw(text);
    });
    this.#ended = once(this.child, "close").then(([code]) => code as number | null);
  }

  /** Its exit code; 99 when the terminal was left otherwise than it was found. */
  get ended(): Promise<number | null> {
    return this.#ended;
  }

  get screen(): readonly string[] {
    return this.#grid.map((row) =>
      Array.from(row, (cell) => cell ?? " ")
        .join("")
        .trimEnd(),
    );
  }

  /** Keys, as the terminal sends them. */
  press(keys: string): void {
    this.child.stdin?.write(keys);
  }

  resize(rows: number, columns: number): void {
    this.child.stdin?.write(`\u001b]r${rows};${columns}\u0007`);
  }

  /** Until the screen has this. */
  shows(pattern: RegExp): Promise<void> {
    return this.#until(pattern, () => this.screen.join("\n"));
  }

  /** Until this was written, wherever on the screen. */
  says(pattern: RegExp): Promise<void> {
    return this.#until(pattern, () => this.raw);
  }

  async #until(pattern: RegExp, text: () => string): Promise<void> {
    await eventually(
      `the terminal has ${String(pattern)}`,
      () => {
        if (pattern.test(text())) return true;
        if (this.child.exitCode !== null)
          throw new Error(`it ended with ${this.child.exitCode}: ${this.raw}`);
        return false;
      },
      { timeoutMs: 20_000 },
    );
  }

  kill(): void {
    this.child.kill("SIGKILL");
  }

  /** As much of a terminal as the monitor uses. */
  #draw(text: string): void {
    for (const [piece] of text.matchAll(PIECES)) {
      const position = /^.\[(\d+);(\d+)H$/s.exec(piece);
      if (position !== null) {
        this.#row = Number(position[1]) - 1;
        this.#column = Number(position[2]) - 1;
      } else if (piece === "\u001b[2J") this.#grid = [];
      else if (piece === "\u001b[K") this.#rowAt().splice(this.#column);
      else if (piece === "\r") this.#column = 0;
      else if (piece === "\n") this.#row += 1;
      else if (!piece.startsWith("\u001b") && piece >= " ") {
        this.#rowAt()[this.#column] = piece;
        this.#column += 1;
      }
    }
  }

  #rowAt(): string[] {
    while (this.#grid.length <= this.#row) this.#grid.push([]);
    return this.#grid[this.#row] as string[];
  }
}
