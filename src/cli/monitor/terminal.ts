/**
 * A terminal in full-screen mode: raw keys, the alternate screen, no cursor. However the process ends, the terminal is as it
 * was before.
 *
 * | state     | enter    | leave, exit of the process | SIGTSTP (Ctrl-Z)              | SIGCONT |
 * |-----------|----------|----------------------------|-------------------------------|---------|
 * | normal    | -> full  |                            |                               |         |
 * | full      |          | -> normal                  | -> suspended; the process stops |       |
 * | suspended |          | -> normal                  |                               | -> full |
 *
 * Where nobody could continue the process (its group has no shell) the system does not stop it: it goes on at once.
 */
import { type Line, painted } from "./cells.ts";
import { type Key, keysOf } from "./keys.ts";
import type { Size } from "./render.ts";

export interface TerminalOptions {
  readonly color: boolean;
  onKey(key: Key): void;
  onResize(): void;
  /** A line that something else wrote, as the app's logger does. */
  onNews(text: string): void;
}

const ENTER = "\u001b[?1049h\u001b[?25l\u001b[2J";
const LEAVE = "\u001b[?25h\u001b[?1049l";
/** Lines that are kept for the end. */
const NEWS_AT_MOST = 200;
/** A process that still runs so long after it was to stop is not stopped. */
const STOPPED_MS = 100;

export class Terminal {
  readonly #options: TerminalOptions;
  readonly #input = process.stdin;
  readonly #output = process.stdout;
  /** What is on the screen. */
  #shown: string[] = [];
  #full = false;
  /** Between SIGTSTP and SIGCONT. */
  #resume: NodeJS.Timeout | null = null;
  /** What others wrote meanwhile, and where to. */
  #news: { readonly stream: NodeJS.WriteStream; readonly line: string }[] = [];
  #release: (() => void)[] = [];
  #write: (text: string) => void = () => {};

  constructor(options: TerminalOptions) {
    this.#options = options;
  }

  /** Whether this process has a terminal that can do it. */
  static get available(): boolean {
    return process.stdin.isTTY && process.stdout.isTTY && process.env["TERM"] !== "dumb";
  }

  get size(): Size {
    return { columns: this.#output.columns || 80, rows: this.#output.rows || 24 };
  }

  enter(): void {
    process.on("exit", this.#leave);
    process.on("SIGTSTP", this.#suspend);
    process.on("SIGCONT", this.#goOn);
    this.#enter();
  }

  #enter(): void {
    this.#full = true;
    this.#write = this.#output.write.bind(this.#output);
    this.#release = [this.#take(process.stdout), this.#take(process.stderr)];
    this.#input.setRawMode(true);
    this.#input.setEncoding("utf8");
    this.#input.on("data", this.#onData);
    this.#input.resume();
    this.#output.on("resize", this.#onResize);
    this.#write(ENTER);
  }

  leave(): void {
    if (this.#resume !== null) clearTimeout(this.#resume);
    this.#resume = null;
    this.#leave();
    process.off("exit", this.#leave);
    process.off("SIGTSTP", this.#suspend);
    process.off("SIGCONT", this.#goOn);
  }

  readonly #suspend = (): void => {
    if (!this.#full) return;
    this.#leave();
    this.#news = [];
    this.#resume = setTimeout(this.#goOn, STOPPED_MS);
    // What the system does with it when nobody handles it.
    process.off("SIGTSTP", this.#suspend);
    process.kill(process.pid, "SIGTSTP");
  };

  readonly #goOn = (): void => {
    if (this.#resume === null) return;
    clearTimeout(this.#resume);
    this.#resume = null;
    process.on("SIGTSTP", this.#suspend);
    this.#enter();
    this.#onResize();
  };

  /** Writes the lines that changed. */
  draw(lines: readonly Line[]): void {
    if (!this.#full) return;
    const next = lines.map((line) => painted(line, this.#options.color));
    let text = "";
    for (const [index, line] of next.entries()) {
      if (line !== this.#shown[index]) text += `\u001b[${index + 1};1H${line}\u001b[K`;
    }
    this.#shown = next;
    if (text !== "") this.#write(text);
  }

  /** The next drawing begins on an empty screen. */
  clear(): void {
    this.#shown = [];
    if (this.#full) this.#write("\u001b[2J");
  }

  bell(): void {
    this.#write("\u0007");
  }

  readonly #leave = (): void => {
    if (!this.#full) return;
    this.#full = false;
    this.#input.off("data", this.#onData);
    this.#output.off("resize", this.#onResize);
    this.#input.setRawMode(false);
    this.#input.pause();
    this.#write(LEAVE);
    for (const release of this.#release) release();
    for (const { stream, line } of this.#news) stream.write(`${line}\n`);
  };

  readonly #onData = (text: string | Buffer): void => {
    for (const key of keysOf(String(text))) this.#options.onKey(key);
  };

  readonly #onResize = (): void => {
    this.clear();
    this.#options.onResize();
  };

  /** What others write would break the screen: it is shown as news, and written at the end. Gives what undoes it. */
  #take(stream: NodeJS.WriteStream): () => void {
    const own = stream.write.bind(stream);
    stream.write = (chunk: string | Uint8Array, ...rest: readonly unknown[]): boolean => {
      const text = typeof chunk === "string" ? chunk : Buffer.from(chunk).toString();
      const lines = text.trimEnd().split("\n");
      this.#news = [...this.#news, ...lines.map((line) => ({ stream, line }))].slice(-NEWS_AT_MOST);
      this.#options.onNews(lines.at(-1) ?? "");
      const done = rest.at(-1);
      if (typeof done === "function") queueMicrotask(() => (done as () => void)());
      return true;
    };
    return () => {
      stream.write = own;
    };
  }
}
