/**
 * Lines of `events --dump`, letter for letter as Celery's: scripts read them. Python: `celery/events/dumper.py`.
 */
import type { AnyEvent } from "../protocol/events.ts";
import { repr } from "../protocol/python-repr.ts";

const HUMAN: ReadonlyMap<string, string> = new Map([
  ["worker-offline", "shutdown"],
  ["worker-online", "started"],
  ["worker-heartbeat", "heartbeat"],
]);

/** Floats to Python: whole ones are printed with `.0`. */
const FLOATS: ReadonlySet<string> = new Set(["freq", "runtime", "loadavg", "local_received"]);

/** Tasks that are remembered by their id: 4,095, as Celery's. */
const NAMES_AT_MOST = 0xfff;

export class EventLines {
  /** By id: `name(id) args=… kwargs=…`. */
  readonly #tasks = new Map<string, string>();

  lineOf(event: AnyEvent): string {
    const type = event.type.toLowerCase();
    const hidden = new Set(["timestamp", "type", "hostname"]);
    let task: string | null = null;
    if (type.startsWith("task-")) {
      hidden.add("uuid");
      if (type === "task-received" || type === "task-sent") {
        for (const name of ["name", "args", "kwargs"]) hidden.add(name);
      }
      task = this.#taskOf(type, event);
    }
    const fields = Object.keys(event)
      .filter((name) => !hidden.has(name))
      .sort()
      .map((name) => `${name}=${shown(name, event[name])}`)
      .join(", ");
    const head = `${oneLine(event.hostname)} [${timeOf(event.timestamp)}] ${oneLine(humanType(type))}${fields === "" ? "" : ":"}`;
    return task === null ? `${head} ${fields}` : `${head} ${task} ${fields}`;
  }

  #taskOf(type: string, event: AnyEvent): string {
    const uuid = event["uuid"] as string;
    if (type !== "task-received" && type !== "task-sent") return this.#tasks.get(uuid) ?? "";
    const text = `${shown("name", event["name"])}(${oneLine(uuid)}) args=${shown("args", event["args"])} kwargs=${shown("kwargs", event["kwargs"])}`;
    this.#tasks.delete(uuid);
    this.#tasks.set(uuid, text);
    const [oldest] = this.#tasks.keys();
    if (this.#tasks.size > NAMES_AT_MOST && oldest !== undefined) this.#tasks.delete(oldest);
    return text;
  }
}

function humanType(type: string): string {
  return HUMAN.get(type) ?? type.replaceAll("-", " ");
}

/** As Python's `str` shows it. */
function shown(name: string, value: unknown): string {
  if (typeof value === "string") return oneLine(value);
  if (!FLOATS.has(name)) return oneLine(repr(value));
  if (typeof value === "number") return float(value);
  return Array.isArray(value) && value.every((one) => typeof one === "number")
    ? `[${value.map(float).join(", ")}]`
    : oneLine(repr(value));
}

function float(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : repr(value);
}

/** `2026-11-21 01:01:09.531748+00:00`; Python leaves out a fraction of zero. */
function timeOf(seconds: number): string {
  // As Python: the fraction alone is rounded, to the even one of two.
  let whole = Math.floor(seconds);
  let rest = roundHalfEven((seconds - whole) * 1e6);
  if (rest === 1e6) {
    whole += 1;
    rest = 0;
  }
  const date = new Date(whole * 1000);
  if (Number.isNaN(date.getTime())) return String(seconds);
  const fraction = rest === 0 ? "" : `.${String(rest).padStart(6, "0")}`;
  return `${date.toISOString().slice(0, 19).replace("T", " ")}${fraction}+00:00`;
}

function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}

/** A terminal must not be steered by what strangers send; Celery prints it as it is. Tabs and line ends stay. */
function oneLine(text: string): string {
  if (!CONTROL.test(text)) return text;
  return text.replaceAll(CONTROLS, escaped);
}

const CONTROL = /(?![\t\n])\p{Cc}/u;
const CONTROLS = /(?![\t\n])\p{Cc}/gu;

function escaped(char: string): string {
  return char === "\r" ? "" : `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
