/** The monitor's screen as lines, from its model: exactly `rows` of them, none wider than `columns`. */
import type { TaskView, WorkerView } from "../../events/views.ts";
import { states } from "../../protocol/states.ts";
import { cellsOf, fit, folded, type Line, type Look, plain, type Span } from "./cells.ts";
import type { Cluster, Mode, Model } from "./model.ts";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

export interface Screen {
  /** Of the program: its name and version. */
  readonly title: string;
  readonly model: Model;
  readonly cluster: Cluster;
}

const UUID = 36;
const STATE = 8;
const TIME = 8;
/** Of the table: the mark of the selected task. */
const MARK = 2;
/** Lines that are always there: title, head of the table, rule, selected, info or message, keys. */
const FRAME = 6;
/** Shares of the screen's height that workers may take. */
const WORKERS_SHARE = 4;

/** Rows of the table of tasks. */
export function tableRows(size: Size, workers: number): number {
  return Math.max(0, size.rows - FRAME - workerRows(size, workers));
}

/** Lines of a page that are seen at once. */
export function pageRows(size: Size): number {
  return Math.max(1, size.rows - 3);
}

/** Cells of a line of a page. */
export function pageColumns(size: Size): number {
  return Math.max(1, size.columns - 2);
}

/** With their head; no room for them on a small screen. */
function workerRows(size: Size, workers: number): number {
  const room = Math.floor((size.rows - FRAME) / WORKERS_SHARE);
  return room < 2 ? 0 : Math.min(1 + Math.max(1, workers), room);
}

export function render(screen: Screen, size: Size): readonly Line[] {
  const { mode } = screen.model;
  const lines = mode.kind === "page" ? page(mode, size) : list(screen, size);
  const shown = lines.slice(0, size.rows).map((line) => cut(line, size.columns));
  while (shown.length < size.rows) shown.push([]);
  return shown;
}

function list({ title, model, cluster }: Screen, size: Size): readonly Line[] {
  const rows = tableRows(size, cluster.workers.length);
  const tasks = cluster.tasks.slice(model.top, model.top + rows);
  const alive = cluster.workers.filter((one) => one.alive).length;
  const counts = `events ${cluster.eventCount}  tasks ${cluster.taskCount}  workers ${alive}/${cluster.workers.length}`;
  const lines: Line[] = [
    spread({ text: title, look: "title" }, { text: counts, look: "dim" }, size.columns),
    [{ text: `${" ".repeat(MARK)}${row(["UUID", "TASK", "WORKER", "TIME", "STATE"], size)}`, look: "head" }],
  ];
  for (const task of tasks) lines.push(taskLine(task, model.selected, size));
  if (tasks.length === 0 && rows > 0) {
    lines.push([{ text: "  No task yet. Workers tell of tasks when they run with -E.", look: "dim" }]);
  }
  while (lines.length < rows + 2) lines.push([]);
  lines.push([{ text: "─".repeat(size.columns), look: "dim" }]);
  lines.push(...workerLines(cluster.workers, size));
  lines.push(selectedLine(model, cluster), statusLine(model, cluster), keysLine(model.mode));
  return lines;
}

function taskLine(task: TaskView, selected: string | null, size: Size): Line {
  const { uuid, name, worker, state } = task;
  const isSelected = uuid === selected;
  const text = row([uuid, name ?? "?", worker ?? task.client ?? "-", clock(task.timestamp), state], size);
  const mark = isSelected ? "> " : "  ";
  if (isSelected) return [{ text: mark + text, look: "selected" }];
  const look = lookOf(state);
  // The state stands last, in exactly so many cells.
  const at = text.length - fit(state, STATE).length;
  return [
    { text: mark + text.slice(0, at) },
    look === null ? { text: text.slice(at) } : { text: text.slice(at), look },
  ];
}

/** Columns as Celery's: the id shrinks first, then name and worker share what is left. */
function row(
  [uuid, name, worker, time, state]: readonly [string, string, string, string, string],
  size: Size,
): string {
  const room = Math.max(0, size.columns - MARK - TIME - STATE - 4);
  const uuidWidth = Math.max(8, Math.min(UUID, room - 32));
  const rest = Math.max(0, room - uuidWidth);
  const nameWidth = Math.ceil(rest / 2);
  return [
    fit(uuid, uuidWidth),
    fit(name, nameWidth),
    fit(worker, rest - nameWidth),
    fit(time, TIME),
    fit(state, STATE),
  ].join(" ");
}

function lookOf(state: string): Look | null {
  if (state === "SUCCESS") return "good";
  if (state === "REVOKED") return "gone";
  if (state === "STARTED") return "busy";
  return states.EXCEPTION_STATES.has(state) ? "bad" : null;
}

/** Local time. */
function clock(seconds: number | null): string {
  if (seconds === null) return "";
  const date = new Date(seconds * 1000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0"))
    .join(":");
}

function workerLines(workers: readonly WorkerView[], size: Size): readonly Line[] {
  const rows = workerRows(size, workers.length);
  if (rows === 0) return [];
  const width = Math.max(12, size.columns - MARK - 40);
  const cells = (texts: readonly string[]): string =>
    `${" ".repeat(MARK)}${fit(texts[0] ?? "", width)} ${texts
      .slice(1)
      .map((text) => fit(text, 9))
      .join(" ")}`;
  const lines: Line[] = [[{ text: cells(["WORKER", "STATUS", "RUNNING", "DONE", "LOAD"]), look: "head" }]];
  const sorted = [...workers].sort(
    (a, b) => Number(b.alive) - Number(a.alive) || (a.hostname < b.hostname ? -1 : 1),
  );
  const room = rows - 1;
  const shown = sorted.length > room ? sorted.slice(0, room - 1) : sorted;
  for (const one of shown) {
    const { hostname, alive, active, processed, loadavg } = one;
    const load = loadavg?.[0];
    const texts = [
      hostname,
      alive ? "online" : "offline",
      active === null ? "" : String(active),
      processed === null ? "" : String(processed),
      load === undefined ? "" : String(load),
    ];
    lines.push([alive ? { text: cells(texts) } : { text: cells(texts), look: "bad" }]);
  }
  if (workers.length === 0) lines.push([{ text: "  No workers discovered.", look: "dim" }]);
  else if (shown.length < sorted.length) {
    lines.push([{ text: `  and ${sorted.length - shown.length} more`, look: "dim" }]);
  }
  return lines;
}

function selectedLine({ selected }: Model, { tasks }: Cluster): Line {
  if (selected === null) return [{ text: "No task selected", look: "dim" }];
  const task = tasks.find((one) => one.uuid === selected);
  const info = task === undefined ? "no longer among the newest" : summary(task);
  return [{ text: "Selected: ", look: "label" }, { text: plain(`${selected} ${info}`) }];
}

function summary(task: TaskView): string {
  const { args, kwargs, retries, runtime, result, exception, eta } = task;
  const parts: readonly (readonly [string, string | number | null])[] = [
    ["args", args],
    ["kwargs", kwargs],
    ["retries", retries],
    ["runtime", runtime === null ? null : runtime.toFixed(2)],
    ["eta", eta],
    ["result", result],
    ["exception", exception],
  ];
  return parts.flatMap(([name, value]) => (value === null ? [] : [`${name}=${value}`])).join(" ");
}

function statusLine({ mode, message }: Model, { workers }: Cluster): Line {
  if (mode.kind === "confirm") {
    const what = `${mode.name ?? "task"} ${mode.uuid}`;
    return [
      { text: plain(`Revoke ${what}?`), look: "label" },
      { text: " y: revoke  t: and terminate  other: no" },
    ];
  }
  if (mode.kind === "prompt") {
    return [{ text: plain(`New rate limit of ${mode.task}: `), look: "label" }, { text: `${mode.text}_` }];
  }
  if (message !== "") return [{ text: plain(message), look: "busy" }];
  const online = workers.filter((one) => one.alive).map((one) => one.hostname);
  return online.length === 0
    ? [{ text: "No workers online", look: "dim" }]
    : [{ text: "Workers online: ", look: "label" }, { text: plain(online.sort().join(", ")) }];
}

function keysLine(mode: Mode): Line {
  if (mode.kind === "prompt") return keys("10/s, 100/m, 1000/h; 0 is no limit. Enter: set  Esc: leave it");
  return keys("q:quit ?:help j:down k:up i:info r:result t:traceback c:revoke l:rate limit");
}

function keys(text: string): Line {
  return [
    { text: "Keys: ", look: "label" },
    { text, look: "dim" },
  ];
}

function page({ title, text, top }: Extract<Mode, { kind: "page" }>, size: Size): readonly Line[] {
  const rows = pageRows(size);
  const all = folded(text, pageColumns(size));
  const from = Math.min(top, Math.max(0, all.length - rows));
  const lines: Line[] = [[{ text: plain(title), look: "title" }], []];
  for (const line of all.slice(from, from + rows)) lines.push([{ text: `  ${line}` }]);
  while (lines.length < size.rows - 1) lines.push([]);
  const more =
    all.length > rows
      ? `lines ${from + 1}-${Math.min(all.length, from + rows)} of ${all.length}, j k to scroll; `
      : "";
  lines.push([{ text: `${more}any other key goes back`, look: "dim" }]);
  return lines;
}

function spread(left: Span, right: Span, columns: number): Line {
  const gap = columns - cellsOf(left.text) - cellsOf(right.text);
  return gap < 1 ? [left] : [left, { text: " ".repeat(gap) }, right];
}

function cut(line: Line, columns: number): Line {
  const spans: Span[] = [];
  let left = columns;
  for (const span of line) {
    const cells = cellsOf(span.text);
    if (cells <= left) spans.push(span);
    else if (left > 0) spans.push({ ...span, text: fit(span.text, left) });
    left -= cells;
    if (left <= 0) break;
  }
  return spans;
}
