/** `petiole dead`: the messages that were given up. Python has no counterpart: there they are lost. */
import { internalsOf } from "../../app/internals.ts";
import { PetioleError } from "../../errors.ts";
import type { DeadLetter, Transport } from "../../transports/transport.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import { wordOf } from "../words.ts";
import { deadLine, deadLineJson, deadPage, tableHead } from "./dead-view.ts";
import { nobodyIsAsked } from "./purge.ts";

/** What the option table reads for this command. */
interface DeadOptions {
  readonly queues?: readonly string[];
  readonly excludeQueues?: readonly string[];
  readonly task?: string;
  readonly reason?: string;
  readonly olderThan?: number;
  readonly newerThan?: number;
  readonly all?: boolean;
  readonly limit?: number;
  readonly json?: boolean;
  readonly force?: boolean;
}

/** Entries that are read at once. */
const PAGE = 100;
const LISTED = 50;

interface Scope {
  readonly transport: Transport;
  readonly queues: readonly string[];
  readonly options: DeadOptions;
  readonly nowMs: number;
}

export async function dead(invocation: Invocation): Promise<ExitCode> {
  const [action = "", ...ids] = invocation.args;
  const run = wordOf(ACTIONS, action, "dead");
  const options = invocation.options as DeadOptions;
  const app = await openApp(invocation, { needsModule: false });
  const internals = internalsOf(app);
  try {
    await internals.finalize();
    const queues = internals.consumedQueues(options.queues ?? [], options.excludeQueues ?? []);
    const transport = await internals.openTransport("producer");
    try {
      await transport.start(new AbortController().signal);
      const names = [
        ...new Set([...queues.map((one) => one.name), internals.conf.taskDefaultQueue ?? "celery"]),
      ];
      // What could not be read is on the default queue's list, whichever queue it came from.
      const scope = { transport, queues: names, options, nowMs: internals.clock.now() };
      return await run(scope, ids, invocation);
    } finally {
      await transport.stop();
    }
  } finally {
    await app.close();
  }
}

const ACTIONS = { list, show, requeue, purge };

async function list(scope: Scope, ids: readonly string[], { io }: Invocation): Promise<ExitCode> {
  const { options, nowMs } = scope;
  const most = options.limit ?? LISTED;
  let shown = 0;
  for await (const letter of matching(scope, ids)) {
    if (shown === most) {
      if (!options.json) io.err(`Only the newest ${most}: -n shows more.\n`);
      return 0;
    }
    if (shown === 0 && !options.json) io.out(tableHead());
    shown += 1;
    io.out(options.json ? deadLineJson(letter) : deadLine(letter, nowMs));
  }
  if (shown === 0 && !options.json) io.out(`No dead messages of ${scope.queues.join(", ")}.\n`);
  return 0;
}

async function show(scope: Scope, ids: readonly string[], { io }: Invocation): Promise<ExitCode> {
  requireIds(ids, "show");
  for (const letter of await named(scope, ids)) {
    io.out(scope.options.json ? deadLineJson(letter) : deadPage(letter, scope.nowMs));
  }
  return 0;
}

async function requeue(scope: Scope, ids: readonly string[], { io }: Invocation): Promise<ExitCode> {
  const letters = await chosen(scope, ids, "requeue");
  const messages = letters.filter((one) => one.message !== null);
  const moved = await scope.transport.requeueDead(messages);
  const kept = letters.length - messages.length;
  io.out(scope.options.json ? jsonLine({ requeued: moved, kept }) : `Put back ${count(moved, "message")}.\n`);
  if (kept > 0 && scope.options.json !== true) {
    io.err(
      `${count(kept, "entry", "entries")} cannot be read as a message, and stayed: look at them with show.\n`,
    );
  }
  return kept > 0 && moved === 0 ? 1 : 0;
}

async function purge(scope: Scope, ids: readonly string[], invocation: Invocation): Promise<ExitCode> {
  const { io } = invocation;
  const { json = false, force = false } = scope.options;
  if (json && !force) throw nobodyIsAsked();
  const letters = await chosen(scope, ids, "purge");
  if (letters.length > 0 && !force) {
    const question = `${count(letters.length, "dead message")} will be deleted; there is no way back. (-f does not ask.)\nDelete? [y/N] `;
    if (!/^y(es)?$/i.test((await io.ask(question))?.trim() ?? "")) {
      io.err("petiole dead purge: nothing was deleted.\n");
      return 1;
    }
  }
  const deleted = await scope.transport.removeDead(letters);
  io.out(json ? jsonLine({ deleted }) : `Deleted ${count(deleted, "dead message")}.\n`);
  return 0;
}

/** What an action that changes something is for: named ones, or all that match and `--all`. */
async function chosen(scope: Scope, ids: readonly string[], action: string): Promise<readonly DeadLetter[]> {
  if (ids.length > 0) return named(scope, ids);
  if (scope.options.all !== true) requireIds(ids, action);
  const letters: DeadLetter[] = [];
  for await (const letter of matching(scope, [])) letters.push(letter);
  return letters;
}

function requireIds(ids: readonly string[], action: string): void {
  if (ids.length > 0) return;
  const all = action === "show" ? "" : ", or --all, which --task, --reason, --older-than and -Q narrow";
  throw new PetioleError("PET_USAGE", `dead ${action} needs ids, as petiole dead list shows them${all}`);
}

/** The entries of these ids. @throws PetioleError when one is not there, or could be several */
async function named(scope: Scope, ids: readonly string[]): Promise<readonly DeadLetter[]> {
  const found = new Map<string, DeadLetter[]>(ids.map((id) => [id, []]));
  for await (const letter of matching(scope, ids)) {
    for (const id of ids) if (letter.id.startsWith(id)) found.get(id)?.push(letter);
  }
  for (const [id, letters] of found) {
    if (letters.length === 0) {
      throw new PetioleError(
        "PET_USAGE",
        `there is no dead message ${id} on the lists of ${scope.queues.join(", ")}`,
      );
    }
    const different = new Set(letters.map((one) => one.id));
    if (different.size > 1) {
      throw new PetioleError("PET_USAGE", `${id} could be ${[...different].join(" or ")}: give more of it`);
    }
  }
  return [...new Set([...found.values()].flat())];
}

/** Newest first, list by list; read page by page, so that a long list does not fill the memory. */
async function* matching(scope: Scope, ids: readonly string[]): AsyncGenerator<DeadLetter> {
  for (const queue of scope.queues) {
    for (let skip = 0; ; skip += PAGE) {
      const page = await scope.transport.readDead(queue, { skip, count: PAGE });
      for (const letter of page) if (matches(letter, scope, ids)) yield letter;
      if (page.length < PAGE) break;
    }
  }
}

function matches(letter: DeadLetter, { options, nowMs }: Scope, ids: readonly string[]): boolean {
  const { task, reason, olderThan, newerThan, queues = [], excludeQueues = [] } = options;
  const ageSeconds = (nowMs - letter.atMs) / 1000;
  return (
    (ids.length === 0 || ids.some((id) => letter.id.startsWith(id))) &&
    (queues.length === 0 || queues.includes(letter.queue)) &&
    !excludeQueues.includes(letter.queue) &&
    (task === undefined || matchesName(taskOf(letter), task)) &&
    (reason === undefined || letter.reason.includes(reason)) &&
    (olderThan === undefined || ageSeconds >= olderThan) &&
    (newerThan === undefined || ageSeconds <= newerThan)
  );
}

function taskOf({ message }: DeadLetter): string {
  const task = message?.headers["task"];
  return typeof task === "string" ? task : "";
}

/** `*` stands for anything. Compared part by part: a pattern must not be able to run for long. */
function matchesName(name: string, pattern: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length)
    return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at <= name.length - last.length;
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
