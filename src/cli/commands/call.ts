/** `petiole call`: sends a task by name and prints its id. Python: `celery/bin/call.py`. */
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

export async function call(invocation: Invocation): Promise<ExitCode> {
  const { args = [], json = false, ...options } = invocation.options as CallOptions;
  const app = await openApp(invocation, { needsModule: false });
  try {
    const [task = ""] = invocation.args;
    const { id } = await app.sendTask(task, [...args], options);
    invocation.io.out(json ? jsonLine({ id, task }) : `${id}\n`);
    return 0;
  } finally {
    await app.close();
  }
}
