/**
 * Dead letters: messages that were given up, and what is known of each. A queue's dead list is the list `<queue>.dead`; an
 * entry is one line of JSON, a newline, and the message as it came. What could not be read at all is on the default queue's.
 */
import type { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { decodeEnvelope } from "../protocol/envelope.ts";
import type { Limits, WireMessage } from "../protocol/wire.ts";

export interface DeadLetter {
  /** Names it, for people: the beginning of the SHA-256 of the entry. Equal entries share it. */
  readonly id: string;
  /** The queue whose dead list it is on. */
  readonly list: string;
  /** The queue that it was taken from. */
  readonly queue: string;
  readonly reason: string;
  /** When it was given up, ms since the epoch; 0: not known. */
  readonly atMs: number;
  /** Deliveries whose holder was lost. */
  readonly count: number;
  /** null: it is no message. */
  readonly message: WireMessage | null;
  /** The whole entry as it is stored. */
  readonly entry: Buffer;
  /** The message as it came: the rest of the entry. */
  readonly raw: Buffer;
}

/** Which entries of a dead list, counted from the newest. */
export interface DeadPage {
  readonly skip: number;
  readonly count: number;
}

const ID_LENGTH = 12;
const NEWLINE = 0x0a;

/** Reads an entry; whoever wrote it. Never throws. */
export function readDeadLetter(list: string, entry: Buffer, limits: Limits): DeadLetter {
  const end = entry.indexOf(NEWLINE);
  const line = end < 0 ? null : readLine(entry.toString("utf8", 0, end));
  const raw = line === null ? entry : entry.subarray(end + 1);
  const { queue, reason, at, count } = line ?? {};
  return {
    id: createHash("sha256").update(entry).digest("hex").slice(0, ID_LENGTH),
    list,
    queue: typeof queue === "string" && queue !== "" ? queue : list,
    reason: typeof reason === "string" ? reason : "not known: nothing says why this entry is here",
    atMs: isCount(at) ? at * 1000 : 0,
    count: isCount(count) ? count : 0,
    message: readMessage(raw, limits),
    entry,
    raw,
  };
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function readLine(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const line: unknown = JSON.parse(text);
    return typeof line === "object" && line !== null ? (line as Readonly<Record<string, unknown>>) : null;
  } catch {
    return null;
  }
}

function readMessage(raw: Buffer, limits: Limits): WireMessage | null {
  try {
    return decodeEnvelope(raw.toString("utf8"), limits);
  } catch {
    return null;
  }
}

/** Of a message; what is no number is none. */
export function priorityOf(message: WireMessage): number {
  const { priority } = message.properties;
  return typeof priority === "number" ? priority : 0;
}
