/**
 * Sets single members of an envelope's JSON text and leaves every other byte as it is: no number is rounded, no key
 * reordered, no escape rewritten. Works on text decoded as latin1 too, because JSON's own characters are ASCII: so bytes
 * that are not UTF-8 survive.
 *
 * `patched text == JSON.parse -> set -> compare` holds for every JSON object (tested); `NaN`, `Infinity` and other words that
 * Python writes are stepped over.
 */

/** Start and end (exclusive) of a value in the text. */
interface Range {
  readonly start: number;
  readonly end: number;
}

interface ObjectRange extends Range {
  /** Last value of each member that was asked for: the one that parsers take. */
  readonly members: ReadonlyMap<string, Range>;
  readonly empty: boolean;
}

interface Edit {
  readonly at: Range;
  readonly text: string;
}

/** The text cannot be an envelope. */
export class NotAnObject extends Error {}

const COUNT_HEADER = "x-delivery-count";

/**
 * Marks an envelope as redelivered: `headers.redelivered` and `properties.delivery_info.redelivered` become true, and with a
 * count `headers["x-delivery-count"]`. Headers that are missing or null are made; where they are something else, nothing
 * can be marked.
 *
 * @throws NotAnObject
 */
export function markRedelivered(text: string, count: number | null): string {
  const top = readObject(text, skipSpace(text, 0), ["headers", "properties"]);
  if (skipSpace(text, top.end) !== text.length) throw new NotAnObject("text after the object");
  const edits: Edit[] = [];
  const wanted: [string, string][] = [["redelivered", "true"]];
  if (count !== null) wanted.push([COUNT_HEADER, String(count)]);
  setMembers({ text, parent: top, name: "headers", wanted, edits });
  const properties = top.members.get("properties");
  if (properties !== undefined && text[properties.start] === "{") {
    const object = readObject(text, properties.start, ["delivery_info"]);
    setMembers({ text, parent: object, name: "delivery_info", wanted: [["redelivered", "true"]], edits });
  }
  return apply(text, edits);
}

/**
 * The count of deliveries begins again: `headers["x-delivery-count"]` becomes 0, where it is.
 *
 * @throws NotAnObject
 */
export function restartDeliveryCount(text: string): string {
  const top = readObject(text, skipSpace(text, 0), ["headers"]);
  const headers = top.members.get("headers");
  if (headers === undefined || text[headers.start] !== "{") return text;
  const count = readObject(text, headers.start, [COUNT_HEADER]).members.get(COUNT_HEADER);
  return count === undefined ? text : apply(text, [{ at: count, text: "0" }]);
}

interface SetMembers {
  readonly text: string;
  readonly parent: ObjectRange;
  readonly name: string;
  readonly wanted: readonly (readonly [string, string])[];
  readonly edits: Edit[];
}

/** Sets members of the object that `parent` has under `name`. */
function setMembers({ text, parent, name, wanted, edits }: SetMembers): void {
  const value = parent.members.get(name);
  const members = wanted.map(([key, to]) => `"${key}":${to}`).join(",");
  if (value === undefined) {
    edits.push(insertion(parent, `"${name}":{${members}}`));
    return;
  }
  if (text[value.start] !== "{") {
    if (text.slice(value.start, value.end) === "null") edits.push({ at: value, text: `{${members}}` });
    return;
  }
  const object = readObject(
    text,
    value.start,
    wanted.map(([key]) => key),
  );
  const missing: string[] = [];
  for (const [key, to] of wanted) {
    const old = object.members.get(key);
    if (old === undefined) missing.push(`"${key}":${to}`);
    else edits.push({ at: old, text: to });
  }
  if (missing.length > 0) edits.push(insertion(object, missing.join(",")));
}

/** Before the closing brace. */
function insertion(object: ObjectRange, members: string): Edit {
  const at = object.end - 1;
  return { at: { start: at, end: at }, text: object.empty ? members : `,${members}` };
}

function apply(text: string, edits: readonly Edit[]): string {
  let result = "";
  let from = 0;
  for (const edit of [...edits].sort((a, b) => a.at.start - b.at.start)) {
    result += text.slice(from, edit.at.start) + edit.text;
    from = edit.at.end;
  }
  return result + text.slice(from);
}

function readObject(text: string, start: number, wanted: readonly string[]): ObjectRange {
  if (text[start] !== "{") throw new NotAnObject("no object");
  const members = new Map<string, Range>();
  let at = skipSpace(text, start + 1);
  if (text[at] === "}") return { start, end: at + 1, members, empty: true };
  for (;;) {
    if (text[at] !== '"') throw new NotAnObject("no member name");
    const keyEnd = skipString(text, at);
    const key = readKey(text, at, keyEnd);
    at = skipSpace(text, keyEnd);
    if (text[at] !== ":") throw new NotAnObject("no colon");
    const valueStart = skipSpace(text, at + 1);
    const valueEnd = skipValue(text, valueStart);
    if (wanted.includes(key)) members.set(key, { start: valueStart, end: valueEnd });
    at = skipSpace(text, valueEnd);
    if (text[at] === "}") return { start, end: at + 1, members, empty: false };
    if (text[at] !== ",") throw new NotAnObject("no comma");
    at = skipSpace(text, at + 1);
  }
}

/** A member's name; escapes may spell a name that is looked for. */
function readKey(text: string, start: number, end: number): string {
  const raw = text.slice(start + 1, end - 1);
  if (!raw.includes("\\")) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    throw new NotAnObject("a member name that cannot be read");
  }
}

function skipSpace(text: string, from: number): number {
  let at = from;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at;
    at += 1;
  }
}

/** `start` is at a quote; the answer is behind the closing one. */
function skipString(text: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote < 0) throw new NotAnObject("a text without an end");
    let slashes = 0;
    while (text.charCodeAt(quote - 1 - slashes) === 0x5c) slashes += 1;
    if (slashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

/** Steps over any value; nesting is counted, not recursed into. */
function skipValue(text: string, start: number): number {
  const first = text[start];
  if (first === '"') return skipString(text, start);
  if (first !== "{" && first !== "[") return skipWord(text, start);
  let depth = 0;
  let at = start;
  while (at < text.length) {
    const char = text[at];
    if (char === '"') {
      at = skipString(text, at);
      continue;
    }
    if (char === "{" || char === "[") depth += 1;
    else if (char === "}" || char === "]") {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
    at += 1;
  }
  throw new NotAnObject("brackets without an end");
}

/** A number, `true`, `null`, `NaN`, … */
function skipWord(text: string, start: number): number {
  let at = start;
  while (at < text.length && !/[\s,\]}]/.test(text[at] ?? "")) at += 1;
  if (at === start) throw new NotAnObject("no value");
  return at;
}
