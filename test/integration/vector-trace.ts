/** Celery's recorded traffic, and ours, as what it leaves behind: task messages and stored states. */
import { readFileSync } from "node:fs";
import { root } from "../support/built.ts";

export type Json = Record<string, unknown>;
export interface Entry {
  readonly name: string;
  readonly how: string;
  readonly commands: readonly { readonly cmd: readonly unknown[] }[];
}

export function vectors(file: string): Map<string, Entry> {
  const { entries } = JSON.parse(readFileSync(`${root}test/vectors/${file}.json`, "utf8")) as {
    entries: Entry[];
  };
  return new Map(entries.map((entry) => [entry.name, entry]));
}

/** What a scenario leaves behind. */
export interface Trace {
  /** Task messages, with the list they were pushed to. */
  readonly messages: Json[];
  /** Stored states, in order, by task id. */
  readonly metas: Record<string, Json[]>;
}

export const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));

/** Reads LPUSH of task messages and SETEX of results out of commands. */
export function traceOf(commands: Iterable<readonly unknown[]>): Trace {
  const trace: Trace = { messages: [], metas: {} };
  for (const [name, key, ...rest] of commands) {
    const command = text(name).toUpperCase();
    if (command === "LPUSH" && text(key).startsWith("celery") && !text(key).endsWith(".dead")) {
      for (const raw of rest) trace.messages.push(readMessage(text(key), text(raw)));
    } else if (command === "SETEX" && text(key).startsWith("celery-task-meta-")) {
      const meta = JSON.parse(text(rest[1])) as Json;
      const id = text(meta["task_id"]);
      trace.metas[id] = [...(trace.metas[id] ?? []), meta];
    }
  }
  return trace;
}

function readMessage(key: string, raw: string): Json {
  const { body, headers, properties, ...others } = JSON.parse(raw) as {
    body: string;
    headers: Json;
    properties: Json;
  };
  const { delivery_tag: _, ...kept } = properties;
  const decoded: unknown = JSON.parse(Buffer.from(body, "base64").toString("utf8"));
  return { key, body: decoded, headers, properties: kept, ...others };
}

/** Values that differ from run to run, language to language, by key. */
function plain(value: unknown, key = ""): unknown {
  if (["origin", "lang", "reply_to", "hostname"].includes(key)) return undefined;
  if (["date_done", "eta", "traceback"].includes(key)) return value === null ? null : typeof value;
  if (key === "pid") return typeof value;
  if (Array.isArray(value)) return value.map((one) => plain(one));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, plain(one, name)]));
}

/** An object in a field, empty when it is missing. */
export function fieldsOf(one: Json | undefined, name: string): Json {
  return (one?.[name] ?? {}) as Json;
}

/** Ids by the order in which they come first: `#0`, `#1`, … */
export function withoutIds(trace: Trace): unknown {
  const order = [
    ...new Set([
      ...trace.messages.map((one) => text((one["headers"] as Json)["id"])),
      ...Object.keys(trace.metas),
    ]),
  ];
  const listed = [trace.messages, order.map((id) => trace.metas[id] ?? [])];
  const seen: string[] = [];
  return JSON.parse(
    JSON.stringify(plain(listed)).replace(
      /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g,
      (id) => {
        if (!seen.includes(id)) seen.push(id);
        return `#${seen.indexOf(id)}`;
      },
    ),
  );
}

/** An error with a class of Python's. */
export function pythonError(type: string, module: string, ...args: unknown[]): Error {
  return Object.assign(new Error(String(args[0])), { type, module, args });
}
