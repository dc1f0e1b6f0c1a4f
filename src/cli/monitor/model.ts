/**
 * What the monitor shows, and what a key does to it. Nothing here reads or writes.
 *
 * | mode    | key                          | then                                   |
 * |---------|------------------------------|----------------------------------------|
 * | list    | up down pages home end, j k  | another task is selected               |
 * | list    | i or enter, r, t, ?          | page: info, result, traceback, help    |
 * | list    | c                            | confirm, of the selected task          |
 * | list    | l                            | prompt, of the selected task's name    |
 * | list    | q, escape, interrupt         | the end                                |
 * | page    | up down pages home end, j k  | it is scrolled                         |
 * | page    | interrupt                    | the end                                |
 * | page    | any other                    | list                                   |
 * | confirm | y; t                         | list, and revoke; and terminate        |
 * | confirm | any other                    | list                                   |
 * | prompt  | characters, backspace        | its text                               |
 * | prompt  | enter                        | list, and the rate limit               |
 * | prompt  | escape, interrupt            | list                                   |
 */
import type { TaskView, WorkerView } from "../../events/views.ts";
import { states } from "../../protocol/states.ts";
import { folded } from "./cells.ts";
import type { Key } from "./keys.ts";

export type Mode =
  | { readonly kind: "list" }
  | { readonly kind: "page"; readonly title: string; readonly text: string; readonly top: number }
  | { readonly kind: "confirm"; readonly uuid: string; readonly name: string | null }
  | { readonly kind: "prompt"; readonly task: string; readonly text: string };

export interface Model {
  readonly mode: Mode;
  /** Id of a task. */
  readonly selected: string | null;
  /** First task of the table. */
  readonly top: number;
  /** One line of news: the connection, a command that is under way. */
  readonly message: string;
}

/** What the events have told, newest task first. */
export interface Cluster {
  readonly tasks: readonly TaskView[];
  readonly workers: readonly WorkerView[];
  readonly eventCount: number;
  readonly taskCount: number;
}

/** What is to be done beside showing. */
export type Effect =
  | { readonly kind: "none" }
  | { readonly kind: "quit" }
  | { readonly kind: "bell" }
  | { readonly kind: "redraw" }
  | { readonly kind: "suspend" }
  | { readonly kind: "revoke"; readonly uuid: string; readonly terminate: boolean }
  | { readonly kind: "rate-limit"; readonly task: string; readonly limit: string };

/** What is known when a key comes: the cluster, and how much of it fits on the screen. */
export interface KeyContext {
  readonly cluster: Cluster;
  /** Rows of the table of tasks. */
  readonly rows: number;
  /** Of a page: lines, and cells of each. */
  readonly pageRows: number;
  readonly pageColumns: number;
}

export interface Step {
  readonly model: Model;
  readonly effect: Effect;
}

export const START: Model = { mode: { kind: "list" }, selected: null, top: 0, message: "" };

const LIST: Mode = { kind: "list" };
const NONE: Effect = { kind: "none" };
const LIMIT_AT_MOST = 40;

export function afterKey(model: Model, key: Key, context: KeyContext): Step {
  if (key === "redraw" || key === "suspend") return { model, effect: { kind: key } };
  switch (model.mode.kind) {
    case "list":
      return inList(model, key, context);
    case "page":
      return inPage(model, key, context);
    case "confirm":
      return inConfirm(model, key);
    case "prompt":
      return inPrompt(model, key);
  }
}

/** A page on top of the list. */
export function withPage(model: Model, title: string, text: string): Model {
  return { ...model, mode: { kind: "page", title, text, top: 0 }, message: "" };
}

/** The selected task stays in sight while others come. */
export function settled(model: Model, { cluster, rows }: KeyContext): Model {
  const at = indexOf(model, cluster);
  const last = Math.max(0, cluster.tasks.length - rows);
  let top = Math.min(model.top, last);
  if (at === -1) top = 0;
  else if (at < top) top = at;
  else if (at >= top + rows) top = at - rows + 1;
  return top === model.top ? model : { ...model, top };
}

/** How far a key moves, of a list so long. */
function moveOf(key: Key, rows: number): number | null {
  const name = typeof key === "string" ? key : key.char.toLowerCase();
  switch (name) {
    case "up":
    case "k":
      return -1;
    case "down":
    case "j":
      return 1;
    case "pageup":
      return -Math.max(1, rows - 1);
    case "pagedown":
      return Math.max(1, rows - 1);
    case "home":
      return Number.NEGATIVE_INFINITY;
    case "end":
      return Number.POSITIVE_INFINITY;
    default:
      return null;
  }
}

function inList(model: Model, key: Key, context: KeyContext): Step {
  const move = moveOf(key, context.rows);
  if (move !== null) return { model: moved(model, move, context), effect: NONE };
  if (key === "interrupt" || key === "escape") return { model, effect: { kind: "quit" } };
  const char = key === "enter" ? "i" : typeof key === "string" ? "" : key.char.toLowerCase();
  if (char === "q") return { model, effect: { kind: "quit" } };
  if (char === "?" || char === "h") return { model: withPage(model, "Keys", HELP), effect: NONE };
  const task = context.cluster.tasks.find((one) => one.uuid === model.selected);
  if (!"irtcl".includes(char) || char === "") return { model, effect: NONE };
  const next = task === undefined ? null : ofTask(model, char, task);
  return next === null ? { model, effect: { kind: "bell" } } : { model: next, effect: NONE };
}

function ofTask(model: Model, char: string, task: TaskView): Model | null {
  const { uuid, name } = task;
  switch (char) {
    case "i":
      return withPage(model, `Task ${uuid}`, infoText(task));
    case "r": {
      const told = task.result ?? task.exception;
      return told === null ? null : withPage(model, `Result of ${uuid}`, told);
    }
    case "t":
      return task.traceback !== null && states.EXCEPTION_STATES.has(task.state)
        ? withPage(model, `Traceback of ${uuid}`, task.traceback)
        : null;
    case "c":
      return { ...model, mode: { kind: "confirm", uuid, name } };
    default:
      return name === null ? null : { ...model, mode: { kind: "prompt", task: name, text: "" } };
  }
}

function moved(model: Model, by: number, context: KeyContext): Model {
  const { tasks } = context.cluster;
  const at = indexOf(model, context.cluster);
  // Without a selection the first key goes to the first task.
  const wanted = at === -1 && Number.isFinite(by) ? 0 : at + by;
  const task = tasks[Math.max(0, Math.min(wanted, tasks.length - 1))];
  if (task === undefined) return model;
  return settled({ ...model, selected: task.uuid }, context);
}

function indexOf({ selected }: Model, { tasks }: Cluster): number {
  return selected === null ? -1 : tasks.findIndex((one) => one.uuid === selected);
}

function inPage(model: Model, key: Key, { pageRows, pageColumns }: KeyContext): Step {
  if (model.mode.kind !== "page") return { model, effect: NONE };
  if (key === "interrupt") return { model, effect: { kind: "quit" } };
  const move = moveOf(key, pageRows);
  if (move === null) return { model: { ...model, mode: LIST }, effect: NONE };
  const last = Math.max(0, folded(model.mode.text, pageColumns).length - pageRows);
  const top = Math.max(0, Math.min(model.mode.top + move, last));
  return { model: { ...model, mode: { ...model.mode, top } }, effect: NONE };
}

function inConfirm(model: Model, key: Key): Step {
  if (model.mode.kind !== "confirm") return { model, effect: NONE };
  const { uuid } = model.mode;
  const char = typeof key === "string" ? "" : key.char.toLowerCase();
  const next = { ...model, mode: LIST };
  if (char !== "y" && char !== "t") return { model: next, effect: NONE };
  return { model: next, effect: { kind: "revoke", uuid, terminate: char === "t" } };
}

function inPrompt(model: Model, key: Key): Step {
  if (model.mode.kind !== "prompt") return { model, effect: NONE };
  const { mode } = model;
  if (key === "enter") {
    const limit = mode.text.trim();
    const effect: Effect = limit === "" ? NONE : { kind: "rate-limit", task: mode.task, limit };
    return { model: { ...model, mode: LIST }, effect };
  }
  if (key === "escape" || key === "interrupt") return { model: { ...model, mode: LIST }, effect: NONE };
  if (key === "backspace") {
    return { model: { ...model, mode: { ...mode, text: mode.text.slice(0, -1) } }, effect: NONE };
  }
  if (typeof key === "string" || mode.text.length >= LIMIT_AT_MOST) return { model, effect: NONE };
  return { model: { ...model, mode: { ...mode, text: mode.text + key.char } }, effect: NONE };
}

/** All that events have said of a task, what it was called with first. */
function infoText(task: TaskView): string {
  const { name, args, kwargs, traceback: _page, ...rest } = task.fields;
  const shown: readonly (readonly [string, unknown])[] = [
    ...Object.entries({ name, state: task.state, args, kwargs, worker: task.worker, client: task.client }),
    ...Object.entries(rest),
    ...TIMES.map((key) => [key, task[key] === null ? null : timeText(task[key])] as const),
  ];
  return shown
    .filter(([, value]) => value !== null && value !== undefined)
    .map(([key, value]) => `${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`)
    .join("\n");
}

const TIMES = [
  "sent",
  "received",
  "started",
  "succeeded",
  "failed",
  "retried",
  "revoked",
  "rejected",
] as const;

function timeText(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}

const HELP = `up, k       the task above
down, j     the task below
PgUp, PgDn  a screen further
Home, End   the newest, the oldest
i, Enter    all that is known of the task
r           its result, or its error
t           its traceback
c           revoke it; asks first, and can terminate it
l           a rate limit for tasks of its name, in every worker
Ctrl-L      draw anew
Ctrl-Z      back to the shell; fg continues
q, Esc      the end

Tasks are seen of workers that send events: petiole worker -E, celery worker -E, or now, with
petiole control enable_events.`;
