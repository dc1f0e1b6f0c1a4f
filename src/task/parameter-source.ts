/**
 * Reads a function's parameters from its source text (`Function.prototype.toString`).
 *
 * A scanner, not a parser: it knows comments, texts, templates, regular expressions and brackets, so that a default value
 * of any shape is skipped as one piece. What it cannot read (native and bound functions) is null, never a guess.
 */

/** One parameter as it is written. */
export interface SourceParameter {
  readonly kind: "name" | "object" | "array" | "rest";
  /** `x`; for patterns the text without defaults, for messages. */
  readonly name: string;
  /** It has a default value. */
  readonly optional: boolean;
  /** Properties that an object pattern takes; null for the other kinds. */
  readonly properties: readonly SourceProperty[] | null;
  /** An object pattern with `...rest`, or with a computed name: it takes any property. */
  readonly open: boolean;
}

export interface SourceProperty {
  readonly name: string;
  readonly optional: boolean;
}

const IDENTIFIER = /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/uy;
const CLOSING: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };
/** After one of these a slash begins a regular expression. */
const BEFORE_EXPRESSION = "(,=:[!&|?{};+-*%~^<>";
const WORDS_BEFORE_EXPRESSION =
  /(?:^|[^\p{ID_Continue}$.])(?:return|typeof|void|delete|in|of|new|await|yield|case|instanceof)$/u;

/** Thrown inside only: the text is not what was expected. */
class Unreadable extends Error {}

/** The parameters of a function; null when its source does not show them. */
export function readParameters(fn: (...args: never[]) => unknown): readonly SourceParameter[] | null {
  try {
    return new Scanner(new Stripper(Function.prototype.toString.call(fn)).strip()).parameters();
  } catch (error) {
    if (error instanceof Unreadable) return null;
    throw error;
  }
}

class Scanner {
  readonly #text: string;
  /** Index of the next character. */
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parameters(): readonly SourceParameter[] {
    if (/\{\s*\[native code\]\s*\}\s*$/.test(this.#text)) throw new Unreadable();
    const single = this.#toList();
    if (single !== null)
      return [{ kind: "name", name: single, optional: false, properties: null, open: false }];
    return splitTop(this.#inside()).map(readParameter);
  }

  /** Moves to the parameter list; returns the name of an arrow function's only parameter, where it has no list. */
  #toList(): string | null {
    for (;;) {
      this.#skipBlanks();
      const char = this.#text[this.#at];
      if (char === undefined) throw new Unreadable();
      if (char === "(") return null;
      if (char === "[" || char === '"' || char === "'") {
        this.#skipPiece();
      } else if (char === "*" || char === "#") {
        this.#at += 1;
      } else {
        const word = this.#word();
        if (word === "class") throw new Unreadable();
        this.#skipBlanks();
        if (this.#text.startsWith("=>", this.#at)) return word;
      }
    }
  }

  #word(): string {
    IDENTIFIER.lastIndex = this.#at;
    const found = IDENTIFIER.exec(this.#text) ?? /[0-9][0-9a-z.]*/iy.exec(this.#text.slice(this.#at));
    if (found === null) throw new Unreadable();
    this.#at += found[0].length;
    return found[0];
  }

  /** Text between the bracket at the position and its partner. */
  #inside(): string {
    const from = this.#at;
    this.#skipPiece();
    return this.#text.slice(from + 1, this.#at - 1);
  }

  #skipBlanks(): void {
    while (/\s/.test(this.#text[this.#at] ?? "x")) this.#at += 1;
  }

  #skipPiece(): void {
    this.#at = skipPiece(this.#text, this.#at);
  }
}

/** Replaces comments by blanks, so that what comes after sees code alone. */
class Stripper {
  readonly #text: string;
  #at = 0;
  #code = "";

  constructor(text: string) {
    this.#text = text;
  }

  /** What is behind a place that cannot be read is left out: parameters stand in front. */
  strip(): string {
    try {
      this.#until(null);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
    }
    return this.#code;
  }

  /** Up to the bracket that ends a template's `${`, or to the end. */
  #until(end: "}" | null): void {
    let open = 0;
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at];
      if (char === "}" && end !== null && open === 0) return;
      if (char === "{") open += 1;
      else if (char === "}") open -= 1;
      this.#piece(char ?? "");
    }
    if (end !== null) throw new Unreadable();
  }

  #piece(char: string): void {
    const { length } = this.#text;
    if (this.#text.startsWith("//", this.#at)) {
      const line = this.#text.slice(this.#at).search(/[\n\r\u2028\u2029]/);
      this.#at = line === -1 ? length : this.#at + line;
    } else if (this.#text.startsWith("/*", this.#at)) {
      const close = this.#text.indexOf("*/", this.#at + 2);
      this.#at = close === -1 ? length : close + 2;
      this.#code += " ";
    } else if (char === '"' || char === "'") {
      this.#copyTo(skipQuoted(this.#text, this.#at));
    } else if (char === "`") {
      this.#template();
    } else if (char === "/" && startsRegExp(this.#code)) {
      this.#copyTo(skipRegExp(this.#text, this.#at));
    } else {
      this.#copyTo(this.#at + 1);
    }
  }

  #template(): void {
    this.#copyTo(this.#at + 1);
    for (;;) {
      const char = this.#text[this.#at];
      if (char === undefined) throw new Unreadable();
      if (char === "\\") this.#copyTo(this.#at + 2);
      else if (char === "$" && this.#text[this.#at + 1] === "{") {
        this.#copyTo(this.#at + 2);
        this.#until("}");
      } else {
        this.#copyTo(this.#at + 1);
        if (char === "`") return;
      }
    }
  }

  #copyTo(end: number): void {
    this.#code += this.#text.slice(this.#at, end);
    this.#at = end;
  }
}

/** Index behind the text, template, regular expression, bracket pair or single character at `from`. */
function skipPiece(text: string, from: number): number {
  const char = text[from] ?? "";
  if (char === '"' || char === "'") return skipQuoted(text, from);
  if (char === "`") return skipTemplate(text, from);
  if (char in CLOSING) return skipBrackets(text, from);
  if (char === "/" && startsRegExp(text.slice(0, from))) return skipRegExp(text, from);
  return from + 1;
}

function skipQuoted(text: string, from: number): number {
  for (let at = from + 1; at < text.length; at += 1) {
    if (text[at] === "\\") at += 1;
    else if (text[at] === text[from]) return at + 1;
  }
  throw new Unreadable();
}

function skipTemplate(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length) {
    if (text[at] === "\\") at += 2;
    else if (text[at] === "`") return at + 1;
    else if (text[at] === "$" && text[at + 1] === "{") at = skipBrackets(text, at + 1);
    else at += 1;
  }
  throw new Unreadable();
}

function skipBrackets(text: string, from: number): number {
  const closing = CLOSING[text[from] ?? ""];
  let at = from + 1;
  while (at < text.length) {
    const char = text[at] ?? "";
    if (char === closing) return at + 1;
    if (char === ")" || char === "]" || char === "}") throw new Unreadable();
    at = skipPiece(text, at);
  }
  throw new Unreadable();
}

/** A slash divides after a value, and begins a regular expression after anything else. */
function startsRegExp(text: string): boolean {
  const before = text.trimEnd();
  const last = before.at(-1);
  return last === undefined || BEFORE_EXPRESSION.includes(last) || WORDS_BEFORE_EXPRESSION.test(before);
}

function skipRegExp(text: string, from: number): number {
  let inClass = false;
  for (let at = from + 1; at < text.length; at += 1) {
    const char = text[at];
    if (char === "\\") at += 1;
    else if (char === "\n") throw new Unreadable();
    else if (char === "[") inClass = true;
    else if (char === "]") inClass = false;
    else if (char === "/" && !inClass) return at + 1;
  }
  throw new Unreadable();
}

/** Parts between the commas that are in no bracket; a trailing comma adds none. */
function splitTop(text: string): readonly string[] {
  const parts: string[] = [];
  let from = 0;
  let at = 0;
  while (at < text.length) {
    if (text[at] === ",") {
      parts.push(text.slice(from, at).trim());
      at += 1;
      from = at;
    } else {
      at = skipPiece(text, at);
    }
  }
  const last = text.slice(from).trim();
  if (last !== "") parts.push(last);
  return parts;
}

/** Index of a default's `=` (not `=>`, `==`), or -1. */
function defaultAt(text: string): number {
  for (let at = 0; at < text.length; at = skipPiece(text, at)) {
    if (text[at] === "=") return text[at + 1] === ">" || text[at + 1] === "=" ? -1 : at;
  }
  return -1;
}

function readParameter(text: string): SourceParameter {
  if (text.startsWith("...")) {
    return { kind: "rest", name: text.slice(3).trim(), optional: true, properties: null, open: false };
  }
  const equals = defaultAt(text);
  const target = (equals === -1 ? text : text.slice(0, equals)).trim();
  const optional = equals !== -1;
  if (target.startsWith("{")) return readObjectPattern(target, optional);
  if (target.startsWith("[")) return { kind: "array", name: target, optional, properties: null, open: false };
  IDENTIFIER.lastIndex = 0;
  if (IDENTIFIER.exec(target)?.[0] !== target) throw new Unreadable();
  return { kind: "name", name: target, optional, properties: null, open: false };
}

function readObjectPattern(pattern: string, optional: boolean): SourceParameter {
  const properties: SourceProperty[] = [];
  let open = false;
  for (const part of splitTop(pattern.slice(1, -1))) {
    const name = propertyName(part);
    if (name === null) open = true;
    else properties.push({ name, optional: defaultAt(part) !== -1 });
  }
  const shown = [...properties.map((one) => one.name), ...(open ? ["..."] : [])].join(", ");
  return { kind: "object", name: `{ ${shown} }`, optional, properties, open };
}

/** Name of the property that a part of an object pattern takes; null for `...rest` and `[computed]`. */
function propertyName(part: string): string | null {
  if (part.startsWith("...") || part.startsWith("[")) return null;
  if (part.startsWith('"') || part.startsWith("'")) {
    return part.slice(1, skipQuoted(part, 0) - 1).replace(/\\(.)/gs, "$1");
  }
  IDENTIFIER.lastIndex = 0;
  const found = IDENTIFIER.exec(part) ?? /^\d+/.exec(part);
  if (found === null) throw new Unreadable();
  return found[0];
}
