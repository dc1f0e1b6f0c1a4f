/** How dead messages are shown. Their content is anybody's: nothing of it reaches the terminal as a control character. */
import type { DeadLetter } from "../../transports/transport.ts";

/** Of a message that is shown whole. */
const RAW_AT_MOST = 4096;
const COLUMNS = { id: 14, age: 7, queue: 16, task: 30, deliveries: 6 } as const;

export function tableHead(): string {
  return row({ id: "ID", age: "AGE", queue: "QUEUE", task: "TASK", deliveries: "LOST", reason: "REASON" });
}

export function deadLine(letter: DeadLetter, nowMs: number): string {
  return row({
    id: letter.id,
    age: ageOf(letter, nowMs),
    queue: letter.queue,
    task: header(letter, "task") ?? "-",
    deliveries: String(letter.count),
    reason: letter.reason,
  });
}

function row(cells: Readonly<Record<keyof typeof COLUMNS | "reason", string>>): string {
  const fixed = Object.entries(COLUMNS).map(([name, width]) => {
    const text = plain(cells[name as keyof typeof COLUMNS]);
    return (text.length > width - 2 ? `${text.slice(0, width - 3)}…` : text).padEnd(width);
  });
  return `${fixed.join("")}${plain(cells.reason)}\n`;
}

/** For programs: everything but the message's text. */
export function deadLineJson(letter: DeadLetter): string {
  const { id, list, queue, reason, atMs, count, message, raw } = letter;
  return `${JSON.stringify({
    id,
    list: `${list}.dead`,
    queue,
    task: header(letter, "task"),
    taskId: header(letter, "id"),
    reason,
    at: atMs === 0 ? null : new Date(atMs).toISOString(),
    lostDeliveries: count,
    isMessage: message !== null,
    bytes: raw.length,
    args: header(letter, "argsrepr"),
    kwargs: header(letter, "kwargsrepr"),
  })}\n`;
}

export function deadPage(letter: DeadLetter, nowMs: number): string {
  const { id, list, queue, reason, atMs, count, message, raw } = letter;
  const when = atMs === 0 ? "not known" : `${new Date(atMs).toISOString()} (${ageOf(letter, nowMs)} ago)`;
  const facts: [string, string | null][] = [
    ["id", id],
    ["on", `${list}.dead`],
    ["queue", queue],
    ["reason", reason],
    ["given up", when],
    ["lost deliveries", String(count)],
    ["task", header(letter, "task")],
    ["task id", header(letter, "id")],
    ["args", header(letter, "argsrepr")],
    ["kwargs", header(letter, "kwargsrepr")],
    ["origin", header(letter, "origin")],
    ["bytes", String(raw.length)],
  ];
  const lines = facts.flatMap(([name, value]) =>
    value === null ? [] : [`${name.padEnd(16)}${plain(value)}`],
  );
  if (message === null) lines.push("", "It cannot be read as a message. It begins with:");
  else lines.push("", "The message:");
  const text = raw.toString("utf8", 0, RAW_AT_MOST);
  lines.push(plain(text) + (raw.length > RAW_AT_MOST ? ` … (${raw.length} bytes)` : ""), "");
  return `${lines.join("\n")}\n`;
}

function header({ message }: DeadLetter, name: string): string | null {
  const value = message?.headers[name];
  return typeof value === "string" && value !== "" ? value : null;
}

function ageOf({ atMs }: DeadLetter, nowMs: number): string {
  if (atMs === 0) return "?";
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)}m`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)}h` : `${Math.round(seconds / 86_400)}d`;
}

/** Control characters as what JSON writes for them. */
function plain(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, (char) =>
    char === "\n" ? "\\n" : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
