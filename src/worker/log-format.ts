/** Python's log formats (`%(asctime)s: %(levelname)s …`), compiled once. */

export interface LineParts {
  /** Python's name: WARNING. */
  readonly level: string;
  readonly message: string;
  readonly nowMs: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type LineFormat = (parts: LineParts) => string;

const READERS: Readonly<Record<string, (parts: LineParts) => string>> = {
  asctime: ({ nowMs }) => asctime(nowMs),
  created: ({ nowMs }) => String(nowMs / 1000),
  levelname: ({ level }) => level,
  message: ({ message }) => message,
  name: () => "petiole.worker",
  process: () => String(process.pid),
  processName: () => "MainProcess",
  threadName: () => "MainThread",
  task_name: ({ fields }) => textOf(fields["task_name"]),
  task_id: ({ fields }) => textOf(fields["task_id"]),
};

function textOf(value: unknown): string {
  return typeof value === "string" ? visible(value) : "???";
}

/** Unknown names stay as they are written. */
export function compileFormat(format: string): LineFormat {
  const parts = format.split(/(%\(\w+\)-?\d*[sd]|%%)/).map((part) => {
    if (part === "%%") return "%";
    const found = /^%\((\w+)\)(-?)(\d*)[sd]$/.exec(part);
    const [, name = "", left = "", width = ""] = found ?? [];
    if (found === null || !Object.hasOwn(READERS, name)) return part;
    const reader = READERS[name];
    if (reader === undefined) return part;
    if (width === "") return reader;
    return (line: LineParts) => {
      const text = reader(line);
      return left === "-" ? text.padEnd(Number(width)) : text.padStart(Number(width));
    };
  });
  return (line) => {
    let text = "";
    for (const part of parts) text += typeof part === "string" ? part : part(line);
    return text;
  };
}

function two(n: number): string {
  return String(n).padStart(2, "0");
}

let lastSecond = Number.NaN;
let lastText = "";

/** `2026-11-21 01:05:31,640`, local time. */
function asctime(ms: number): string {
  const second = Math.floor(ms / 1000);
  if (second !== lastSecond) {
    const date = new Date(second * 1000);
    lastText = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    lastSecond = second;
  }
  return `${lastText},${String(Math.floor(ms - second * 1000)).padStart(3, "0")}`;
}

/** C0, C1, and the two line separators that Unicode has beside them. */
const UNSAFE = /[\p{Cc}\u2028\u2029]/gu;

function escaped(char: string): string {
  if (char === "\n") return "\\n";
  if (char === "\r") return "\\r";
  if (char === "\t") return "\\t";
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** A text of others, on one line. */
export function visible(text: string): string {
  return text.replace(UNSAFE, escaped);
}

/** A text of others that may have lines of its own, as a traceback does. */
export function visibleBlock(text: string): string {
  return text.replace(UNSAFE, (char) => (char === "\n" || char === "\t" ? char : escaped(char)));
}
