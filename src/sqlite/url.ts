/** `sqlite:///absolute/path.db`, `sqlite://./relative/path.db`, with `?synchronous=FULL` and `?busy_timeout=<seconds>`. */
import { resolve } from "node:path";
import { ImproperlyConfigured } from "../errors.ts";

export interface SqliteUrl {
  /** Absolute. */
  readonly path: string;
  /** FULL: a commit is on the disk before it is answered. NORMAL: it survives every end of a process, not a power cut. */
  readonly synchronous: "NORMAL" | "FULL";
  /** How long a write is tried while another process has the lock. */
  readonly busyTimeoutMs: number;
}

const BUSY_TIMEOUT_MS = 5000;

/** @throws ImproperlyConfigured `PET_URL_INVALID` */
export function parseSqliteUrl(url: string): SqliteUrl {
  const match = /^sqlite:\/\/([^?#]*)(?:\?([^#]*))?$/i.exec(url);
  if (match === null) throw invalid(url, "it is not of the form sqlite:///path/to/file.db");
  const name = decoded(url, match[1] ?? "");
  if (name === "" || name.endsWith("/") || name.includes("\0")) throw invalid(url, "it names no file");
  if (name === ":memory:" || name === "/:memory:")
    throw invalid(url, "a database in memory is shared by nobody: use memory://");
  let synchronous: SqliteUrl["synchronous"] = "NORMAL";
  let busyTimeoutMs = BUSY_TIMEOUT_MS;
  for (const [option, value] of new URLSearchParams(match[2] ?? "")) {
    if (option === "synchronous") synchronous = readSynchronous(url, value);
    else if (option === "busy_timeout") busyTimeoutMs = readSeconds(url, value);
    else throw invalid(url, `it has no option ${JSON.stringify(option)}, only synchronous and busy_timeout`);
  }
  // sqlite:///C:/data/file.db
  const path = /^\/[A-Za-z]:/.test(name) ? name.slice(1) : name;
  return { path: resolve(path), synchronous, busyTimeoutMs };
}

function decoded(url: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(url, "a % in it is no percent-encoding: write it as %25");
  }
}

function readSynchronous(url: string, value: string): SqliteUrl["synchronous"] {
  const upper = value.toUpperCase();
  if (upper === "NORMAL" || upper === "FULL") return upper;
  throw invalid(url, `synchronous is ${JSON.stringify(value)}; expected NORMAL or FULL`);
}

function readSeconds(url: string, value: string): number {
  const seconds = value.trim() === "" ? Number.NaN : Number(value);
  if (Number.isFinite(seconds) && seconds > 0 && seconds <= 600) return seconds * 1000;
  throw invalid(
    url,
    `busy_timeout is ${JSON.stringify(value)}; expected seconds, more than 0 and at most 600`,
  );
}

function invalid(url: string, why: string): ImproperlyConfigured {
  return new ImproperlyConfigured(`the URL ${JSON.stringify(url)} cannot be used: ${why}`, {
    code: "PET_URL_INVALID",
  });
}
