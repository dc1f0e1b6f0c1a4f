/**
 * Commands that revoke.
 *
 * | a task that            | `revoke`               | with `terminate`                                       |
 * |------------------------|------------------------|--------------------------------------------------------|
 * | has not come here      | REVOKED, if nobody runs it | the same                                           |
 * | waits here             | REVOKED; never starts  | the same                                               |
 * | runs here              | goes on                | its signal aborted, or its process killed; REVOKED when it ends by that |
 *
 * Celery marks a task REVOKED though it runs, and its caller is told so while the result is still to come.
 */
import { constants } from "node:os";
import { ask } from "../../app/control-ask.ts";
import { TaskRevokedError } from "../../errors.ts";
import { pidboxQueue } from "../../protocol/pidbox.ts";
import { repr } from "../../protocol/python-repr.ts";
import type { Request } from "../request.ts";
import { commonStamps, listOf, stampKey } from "../revoked.ts";
import { type Arguments, flagOf, textsOf } from "./arguments.ts";
import { askContext } from "./ask-context.ts";
import { CommandError, textRepr } from "./errors.ts";
import { type CommandGroup, type ControlState, ok } from "./state.ts";
import { requestsById } from "./task-info.ts";

const QUERY_MS = 1_000;
/** Characters of a stamp, as JSON: thousands of them are kept. */
const MAX_STAMP = 4096;

const QUEUED = "not in the state DB yet: it cannot be reached, and has it when it is back";

export const REVOKE_COMMANDS: CommandGroup = {
  revoke: (state, args) => revoke(state, args, flagOf(args, "terminate")),
  terminate: (state, args) => revoke(state, args, true),
  revoke_by_stamped_headers: revokeByStamps,
};

function revoke(state: ControlState, args: Arguments, terminate: boolean): unknown {
  const { context } = state;
  const ids = textsOf(args, "task_id");
  const signal = terminate ? signalOf(args["signal"]) : null;
  const revoked = { ids, stamps: [] };
  context.revoked.addAll(revoked);
  const written = context.state?.record(revoked) ?? null;
  const known = requestsById(state);
  void markRevoked(
    state,
    ids.filter((id) => known.get(id)?.state !== "active"),
    new Set(known.keys()),
  );
  if (signal === null) {
    context.logger.info({ ids }, "tasks flagged as revoked");
    return told(written, `tasks ${setRepr(ids)} flagged as revoked`);
  }
  const stopped = ids.flatMap((id) => {
    const found = known.get(id);
    if (found !== undefined) stop(state, found.request, signal);
    return found === undefined ? [] : [id];
  });
  return told(
    written,
    stopped.length === 0 ? "terminate: tasks unknown" : `terminate: ${stopped.join(", ")}`,
  );
}

function revokeByStamps(state: ControlState, args: Arguments): unknown {
  const { context, tasks } = state;
  const headers = headersOf(args["headers"]);
  const terminate = flagOf(args, "terminate");
  const signal = signalOf(args["signal"]);
  const keys = Object.entries(headers).flatMap(([name, values]) =>
    listOf(values).map((value) => stampKey(name, value)),
  );
  const revoked = { ids: [], stamps: keys };
  context.revoked.addAll(revoked);
  const written = context.state?.record(revoked) ?? null;
  const shown = repr(headers);
  if (!terminate) return told(written, `headers ${shown} flagged as revoked, but not terminated`);
  const stopped = new Map<string, Set<unknown>>();
  for (const request of tasks.consumer.active) {
    const { stamps, stampedHeaders } = request.decoded;
    for (const [name, values] of Object.entries(headers)) {
      if (!stampedHeaders.includes(name) || !Object.hasOwn(stamps, name)) continue;
      const common = commonStamps(stamps[name], values);
      if (common.length === 0) continue;
      stopped.set(name, new Set([...(stopped.get(name) ?? []), ...common]));
      stop(state, request, signal);
    }
  }
  if (stopped.size === 0) return told(written, `headers ${shown} were not terminated`);
  const found = [...stopped].map(([name, values]) => `${textRepr(name)}: ${setOf([...values])}`);
  return told(written, `headers defaultdict(<class 'set'>, {${found.join(", ")}}) revoked`);
}

/** Celery's reply, once the state DB has it, if there is one; what it does not have yet is said. */
function told(written: Promise<"written" | "queued"> | null, text: string): unknown {
  return written === null
    ? ok(text)
    : written.then((how) => ok(how === "written" ? text : `${text} (${QUEUED})`));
}

function stop({ context }: ControlState, request: Request, signal: NodeJS.Signals): void {
  context.logger.info({ id: request.id, task: request.task, signal }, "terminating a task");
  request.terminated = signal;
  const reason = new TaskRevokedError({
    type: "TaskRevokedError",
    module: "celery.exceptions",
    args: ["terminated"],
    traceback: null,
  });
  request.running?.terminate(signal, reason);
}

/** Stores REVOKED of what does not run, here or elsewhere. Never rejects. */
async function markRevoked(
  state: ControlState,
  ids: readonly string[],
  known: ReadonlySet<string>,
): Promise<void> {
  const { settler, metas } = state.tasks;
  if (!settler.storesResults || ids.length === 0) return;
  const here = ids.filter((id) => known.has(id));
  const elsewhere = await withoutActive(
    state,
    ids.filter((id) => !known.has(id)),
  );
  for (const id of [...here, ...elsewhere]) await settler.store(settler.encode(metas.bareRevoked(id)), null);
}

/**
 * Of ids that this worker does not know, those to be marked by it. Alone it marks all. Of several workers the first by name
 * asks the others who runs them; what nobody marks now is marked by whoever receives it.
 */
async function withoutActive(state: ControlState, ids: readonly string[]): Promise<readonly string[]> {
  if (ids.length === 0) return ids;
  const { hostname } = state.context.settings;
  const asking = askContext(state.context);
  const mine = pidboxQueue(hostname, asking.names);
  try {
    const bound = await asking.transport.bindings(asking.names.exchange);
    const others = bound.map(({ queue }) => queue).filter((queue) => queue !== mine);
    if (others.length === 0) return ids;
    if (others.some((queue) => queue < mine)) return [];
    const question = {
      method: "query_task",
      arguments: { ids },
      destination: null,
      pattern: null,
      matcher: null,
      timeoutMs: QUERY_MS,
    };
    const replies = await ask(asking, question, { limit: others.length + 1 });
    const active = new Set(replies.flatMap(([, reply]) => activeIds(reply)));
    return ids.filter((id) => !active.has(id));
  } catch (err) {
    state.context.logger.warn({ ids, err }, "nobody could be asked whether revoked tasks run");
    return [];
  }
}

function activeIds(reply: unknown): readonly string[] {
  if (typeof reply !== "object" || reply === null) return [];
  return Object.entries(reply).flatMap(([id, found]) =>
    Array.isArray(found) && found[0] === "active" ? [id] : [],
  );
}

/** `TERM`, `SIGTERM`, `15`; null: SIGTERM. @throws CommandError */
function signalOf(given: unknown): NodeJS.Signals {
  if (given === null || given === undefined || given === "") return "SIGTERM";
  const text = typeof given === "string" || typeof given === "number" ? String(given).toUpperCase() : "";
  const names = Object.entries(constants.signals);
  const found = /^\d+$/.test(text)
    ? names.find(([, number]) => number === Number(text))?.[0]
    : names.find(([name]) => name === text || name === `SIG${text}`)?.[0];
  if (found !== undefined) return found as NodeJS.Signals;
  throw new CommandError(
    "TypeError",
    `signal must be the name or the number of one, not ${text.slice(0, 40)}`,
  );
}

/** `{name: value}`, `{name: [values]}`, or `["name=value"]`. @throws CommandError */
function headersOf(given: unknown): Readonly<Record<string, unknown>> {
  const pairs = Array.isArray(given) ? given.map(pairOf) : null;
  const headers: unknown = pairs === null ? given : Object.fromEntries(pairs);
  if (typeof headers !== "object" || headers === null) {
    throw new CommandError("TypeError", "headers must be an object, or a list of name=value");
  }
  if (JSON.stringify(headers).length > MAX_STAMP) {
    throw new CommandError("ValueError", `headers have more than ${MAX_STAMP} characters`);
  }
  return headers as Readonly<Record<string, unknown>>;
}

function pairOf(text: unknown): readonly [string, string] {
  const [, name, value] = /^([^=]+)=([^=]*)/.exec(typeof text === "string" ? text : "") ?? [];
  if (name === undefined || value === undefined) {
    throw new CommandError("ValueError", "a header is given as name=value");
  }
  return [name, value];
}

function setRepr(ids: readonly string[]): string {
  return ids.length === 0 ? "set()" : setOf(ids);
}

function setOf(values: readonly unknown[]): string {
  const shown = values.map((value) => (typeof value === "string" ? textRepr(value) : repr(value)));
  return `{${shown.join(", ")}}`;
}
