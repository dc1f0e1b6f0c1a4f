/** `petiole result`: waits for a task and prints what it gave. Python: `celery/bin/result.py`. */
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import type { AsyncResult, TaskOutcome } from "../../app/result-types.ts";
import { NotRegistered, PetioleError } from "../../errors.ts";
import { stringifyJson } from "../../protocol/json.ts";
import { visible } from "../../worker/log-format.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";

/** What the option table reads for this command. */
interface ResultOptions {
  readonly task?: string;
  readonly traceback?: boolean;
  readonly logs?: boolean;
  readonly timeout?: number;
  readonly json?: boolean;
}

export async function result(invocation: Invocation): Promise<ExitCode> {
  const options = invocation.options as ResultOptions;
  const app = await openApp(invocation, { needsModule: false });
  try {
    if (options.task !== undefined) await knownTask(app, options.task);
    const handle = app.asyncResult(invocation.args[0] ?? "");
    if (options.traceback) return await printTraceback(handle, invocation);
    if (options.logs) return await printLogs(handle, invocation);
    const outcome = await handle.outcome({ timeout: options.timeout });
    if (options.json) {
      invocation.io.out(jsonLine({ id: handle.id, ...told(outcome) }));
      return outcome.state === "SUCCESS" ? 0 : 1;
    }
    if (outcome.state === "SUCCESS") {
      invocation.io.out(`${shown(outcome.result)}\n`);
      return 0;
    }
    throw new PetioleError(
      "PET_REMOTE",
      `task ${handle.id} ended as ${outcome.state}: ${outcome.error.message}. Its traceback: petiole result --traceback ${handle.id}`,
      { cause: outcome.error },
    );
  } finally {
    await app.close();
  }
}

async function knownTask(app: Celery, name: string): Promise<void> {
  await internalsOf(app).finalize();
  if (!app.tasks.has(name)) throw new NotRegistered(name);
}

/** What is stored now, without waiting; nothing for a task that did not fail. */
async function printTraceback(handle: AsyncResult<unknown>, { io, options }: Invocation): Promise<ExitCode> {
  const traceback = await handle.traceback();
  if ((options as ResultOptions).json) io.out(jsonLine({ id: handle.id, traceback }));
  else if (traceback !== null) io.out(`${traceback.trimEnd()}\n`);
  return 0;
}

/** What is stored now, without waiting, in the form of the worker's log. */
async function printLogs(handle: AsyncResult<unknown>, { io, options }: Invocation): Promise<ExitCode> {
  const logs = await handle.logs();
  if ((options as ResultOptions).json) {
    io.out(
      jsonLine({ id: handle.id, logs: logs.map((line) => ({ ...line, time: line.time.toISOString() })) }),
    );
    return 0;
  }
  for (const { time, level, message, fields } of logs) {
    const rest = Object.keys(fields).length === 0 ? "" : ` ${stringifyJson(fields, "the fields")}`;
    io.out(`[${time.toISOString()}: ${level.toUpperCase()}] ${visible(message + rest)}\n`);
  }
  return 0;
}

function told(outcome: TaskOutcome<unknown>): Readonly<Record<string, unknown>> {
  const { state } = outcome;
  if (state === "SUCCESS") return { state, result: outcome.result };
  const { type, message } = outcome.error;
  const traceback = state === "FAILURE" ? outcome.traceback : null;
  return { state, error: { type, message }, traceback };
}

/** Text as it is, all else as JSON. */
function shown(value: unknown): string {
  return typeof value === "string" ? value : stringifyJson(value, "the result");
}
