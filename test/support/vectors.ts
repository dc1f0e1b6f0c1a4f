/** The recorded traffic of `test/vectors`, read without the code under test. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** One recorded scenario. */
export interface VectorEntry {
  readonly name: string;
  /** The Python call, or what was pushed by hand. */
  readonly how: string;
  /** Redis commands; a value that is not UTF-8 is `{ base64 }`. */
  readonly commands: readonly { readonly cmd: readonly (string | { readonly base64: string })[] }[];
}

/** The entries of a file. Python's bare NaN and Infinity stand in `decoded` only, which no test reads: they become texts. */
export function vectorEntries(file: string): readonly VectorEntry[] {
  const path = fileURLToPath(new URL(`../vectors/${file}.json`, import.meta.url));
  const text = readFileSync(path, "utf8").replace(/(?<=[^\\]": )(NaN|-?Infinity)/g, '"$1"');
  return (JSON.parse(text) as { entries: VectorEntry[] }).entries;
}

/** The envelopes that an entry sent: pushed to a list or published. */
export function envelopesOf(entry: VectorEntry, command: "LPUSH" | "PUBLISH" = "LPUSH"): readonly string[] {
  const found: string[] = [];
  for (const { cmd } of entry.commands) {
    const payload = cmd[2];
    if (cmd[0] === command && typeof payload === "string" && payload.startsWith('{"body"'))
      found.push(payload);
  }
  return found;
}

/** The results that an entry stored under `celery-task-meta-…`, as they were written. */
export function metasOf(entry: VectorEntry): readonly (string | Uint8Array)[] {
  const found: (string | Uint8Array)[] = [];
  for (const { cmd } of entry.commands) {
    const [name, key] = cmd;
    if ((name !== "SETEX" && name !== "SET") || typeof key !== "string" || !key.includes("celery-task-meta-"))
      continue;
    const value = cmd.at(-1);
    if (typeof value === "string") found.push(value);
    else if (value !== undefined) found.push(Buffer.from(value.base64, "base64"));
  }
  return found;
}
