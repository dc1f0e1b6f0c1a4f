/** `petiole call`: sends a task by name and prints its id. Python: `celery/bin/call.py`. */
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import { didYouMean } from "../../base/nearest.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";

/** What the option table reads for this command. */
interface CallOptions {
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly eta?: string;
  readonly countdown?: number;
  readonly expires?: number | string;
  readonly serializer?: string;
  readonly queue?: string;
  readonly exchange?: string;
  readonly routingKey?: string;
  readonly json?: boolean;
}

/** Any name may be sent; one that is nearly a task of the app may be a slip. */
async function warnOfNearMiss(app: Celery, task: string, { globals, io }: Invocation): Promise<void> {
  if (globals.app === null || globals.quiet) return;
  await internalsOf(app).finalize();
  if (app.tasks.has(task)) return;
  const near = didYouMean(task, app.tasks.keys());
  if (near !== "")
    io.err(`petiole call: the app has no task ${JSON.stringify(task)}${near} It is sent as it is.\n`);
}

export async function call(invocation: Invocation): Promise<ExitCode> {
  const { args = [], json = false, ...options } = invocation.options as CallOptions;
  const app = await openApp(invocation, { needsModule: false });
  try {
    const [task = ""] = invocation.args;
    await warnOfNearMiss(app, task, invocation);
    const { id } = await app.sendTask(task, [...args], options);
    invocation.io.out(json ? jsonLine({ id, task }) : `${id}\n`);
    return 0;
  } finally {
    await app.close();
  }
}
