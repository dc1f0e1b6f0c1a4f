/**
 * The file: one JSON object a line, the oldest first. A line that ends the file without a line feed was cut off by a crash.
 *
 * | line                                  | says                          |
 * |---------------------------------------|-------------------------------|
 * | `{"petiole":"statedb","version":1}`   | what this file is; the first  |
 * | `{"id":"…","at":1764500000.123}`      | revoked then, epoch seconds   |
 * | `{"stamp":["header","value"],"at":…}` | the same of a stamp           |
 * | `{"clock":42}`                        | Lamport clock; the last counts |
 */
import { createReadStream } from "node:fs";
import { isRevocable } from "../members.ts";

export type Line =
  | { readonly kind: "id" | "stamp"; readonly member: string; readonly at: number }
  | { readonly kind: "clock"; readonly clock: number }
  | { readonly kind: "head" };

export const HEAD: string = `${JSON.stringify({ petiole: "statedb", version: 1 })}\n`;
/** A line that is longer is none of ours. */
const LONGEST = 16 * 1024;

export function lineText(line: Exclude<Line, { readonly kind: "head" }>): string {
  if (line.kind === "clock") return `{"clock":${line.clock}}\n`;
  const member = line.kind === "id" ? JSON.stringify(line.member) : line.member;
  return `{"${line.kind}":${member},"at":${line.at}}\n`;
}

/** null: it cannot be read. */
export function readLine(text: string): Line | null {
  let read: unknown;
  try {
    read = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof read !== "object" || read === null) return null;
  const { petiole, version, id, stamp, at, clock } = read as Readonly<Record<string, unknown>>;
  if (petiole === "statedb") return version === 1 ? { kind: "head" } : null;
  if (typeof clock === "number" && Number.isSafeInteger(clock)) return { kind: "clock", clock };
  if (typeof at !== "number" || !Number.isFinite(at)) return null;
  if (id !== undefined) return isRevocable(id) ? { kind: "id", member: id, at } : null;
  const isPair = Array.isArray(stamp) && stamp.length === 2 && typeof stamp[0] === "string";
  const member = isPair ? JSON.stringify(stamp) : null;
  return isRevocable(member) ? { kind: "stamp", member, at } : null;
}

export interface Scan {
  /** Lines that cannot be read. */
  readonly bad: number;
  /** Bytes of whole lines. */
  readonly whole: number;
  /** Bytes after the last line feed. */
  readonly cut: number;
  readonly hasHead: boolean;
}

/** Reads a file line by line; what is cut off at the end is not given. A file that is not there is empty. */
export async function scan(path: string, onLine: (line: Line) => void): Promise<Scan> {
  let rest = Buffer.alloc(0);
  let whole = 0;
  let bad = 0;
  let hasHead = false;
  let first = true;
  const take = (text: string): void => {
    if (text === "") return;
    const line = text.length > LONGEST ? null : readLine(text);
    if (first) hasHead = line?.kind === "head";
    first = false;
    if (line === null) bad += 1;
    else onLine(line);
  };
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
      const bytes = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer]);
      const end = bytes.lastIndexOf(0x0a) + 1;
      whole += end;
      rest = Buffer.from(bytes.subarray(end));
      if (end > 0) for (const text of bytes.toString("utf8", 0, end - 1).split("\n")) take(text);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  return { bad, whole, cut: rest.length, hasHead };
}
