/** Errors of commands, as Python's `repr` shows them: what Celery's tools print. */

/** An exception by Python's class, of a command of ours. */
export class CommandError extends Error {
  readonly type: string;

  constructor(type: string, message: string) {
    super(message);
    this.type = type;
  }
}

/** `ValueError('Pool restarts not enabled')`. An error of JavaScript's is shown as what it is stored as in results. */
export function errorRepr(error: unknown): string {
  if (!(error instanceof Error)) return `Exception(${textRepr(String(error))})`;
  return `${typeOf(error)}(${textRepr(error.message)})`;
}

function typeOf(error: Error): string {
  if (error instanceof CommandError) return error.type;
  const { name } = error;
  if (name === "RangeError") return "ValueError";
  return /^[A-Za-z]\w*$/.test(name) && name !== "Error" ? name : "Exception";
}

/** A text as Python writes it: in single quotes, unless it has some and no double ones. */
export function textRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  let escaped = "";
  for (const char of text) escaped += char === quote ? `\\${char}` : escape(char);
  return `${quote}${escaped}${quote}`;
}

const SHORT: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escape(char: string): string {
  const short = Object.hasOwn(SHORT, char) ? SHORT[char] : undefined;
  if (short !== undefined) return short;
  if (!/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(char)) return char;
  const code = char.codePointAt(0) ?? 0;
  return code < 256 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}
