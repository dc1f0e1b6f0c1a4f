/** From the bytes that a terminal sends to keys. */

export type Key =
  | "up"
  | "down"
  | "pageup"
  | "pagedown"
  | "home"
  | "end"
  | "enter"
  | "escape"
  | "backspace"
  | "interrupt"
  | "redraw"
  | "suspend"
  | { readonly char: string };

const NAMED: ReadonlyMap<string, Key> = new Map<string, Key>([
  ["\u001b[A", "up"],
  ["\u001bOA", "up"],
  ["\u001b[B", "down"],
  ["\u001bOB", "down"],
  ["\u001b[5~", "pageup"],
  ["\u001b[6~", "pagedown"],
  ["\u001b[H", "home"],
  ["\u001b[1~", "home"],
  ["\u001bOH", "home"],
  ["\u001b[F", "end"],
  ["\u001b[4~", "end"],
  ["\u001bOF", "end"],
  ["\r", "enter"],
  ["\n", "enter"],
  ["\u001b", "escape"],
  ["\u007f", "backspace"],
  ["\b", "backspace"],
  ["\u0003", "interrupt"],
  ["\u0004", "interrupt"],
  ["\u000c", "redraw"],
  ["\u001a", "suspend"],
]);

const ESC = "\u001b";
const PIECES = new RegExp(`${ESC}\\[[\\d;]*[A-Za-z~]|${ESC}O[A-Za-z]|[\\s\\S]`, "gu");

/** Sequences that are not known are left out. */
export function keysOf(text: string): readonly Key[] {
  return (text.match(PIECES) ?? []).flatMap((piece): readonly Key[] => {
    const named = NAMED.get(piece);
    if (named !== undefined) return [named];
    return /^\p{Cc}/u.test(piece) ? [] : [{ char: piece }];
  });
}
