/** Text in the cells of a terminal. What strangers send can neither steer it nor break the columns. */

/** A piece of a line, all in one look. */
export interface Span {
  readonly text: string;
  readonly look?: Look;
}

export type Line = readonly Span[];

export type Look = "title" | "head" | "dim" | "label" | "selected" | "good" | "bad" | "busy" | "gone";

const SGR: Readonly<Record<Look, string>> = {
  title: "1;34",
  head: "1;4",
  dim: "2",
  label: "1",
  selected: "7",
  good: "32",
  bad: "31",
  busy: "33",
  gone: "35",
};

/** Control characters, and those that change the direction of writing. */
const UNSAFE = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const NO_CELL = /\p{M}/u;

/** Cells of a line in a terminal. */
export function cellsOf(text: string): number {
  let cells = 0;
  for (const char of text) cells += cellsOfChar(char);
  return cells;
}

function cellsOfChar(char: string): number {
  if (char < "\u0300") return 1;
  if (NO_CELL.test(char)) return 0;
  return WIDE.test(char) ? 2 : 1;
}

/** On one line, without what could steer a terminal. */
export function plain(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(UNSAFE, "?");
}

/** Exactly so many cells: cut with `…`, or filled up. */
export function fit(text: string, cells: number): string {
  if (cells <= 0) return "";
  const clean = plain(text);
  const length = cellsOf(clean);
  if (length <= cells) return clean + " ".repeat(cells - length);
  let kept = "";
  let used = 0;
  for (const char of clean) {
    const more = cellsOfChar(char);
    if (used + more > cells - 1) break;
    kept += char;
    used += more;
  }
  return `${kept}…${" ".repeat(cells - 1 - used)}`;
}

/** A text as lines of at most so many cells; its own line ends stay. */
export function folded(text: string, cells: number): readonly string[] {
  const lines: string[] = [];
  for (const raw of text.replaceAll("\t", "    ").split("\n")) {
    let line = "";
    let used = 0;
    for (const char of raw.replaceAll(UNSAFE, "?")) {
      const more = cellsOfChar(char);
      if (used + more > cells && line !== "") {
        lines.push(line);
        line = "";
        used = 0;
      }
      line += char;
      used += more;
    }
    lines.push(line);
  }
  return lines;
}

/** What is written to a terminal. Without colour: no attributes at all. */
export function painted(line: Line, color: boolean): string {
  return line
    .map(({ text, look }) => (look === undefined || !color ? text : `\u001b[${SGR[look]}m${text}\u001b[0m`))
    .join("");
}
