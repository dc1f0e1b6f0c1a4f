/** `petiole purge`: deletes what waits in the app's queues. Python: `celery/bin/purge.py`. */
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import { PetioleError } from "../../errors.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";

/** What the option table reads for this command. */
interface PurgeOptions {
  readonly force?: boolean;
  readonly json?: boolean;
  readonly queues?: readonly string[];
  readonly excludeQueues?: readonly string[];
}

export async function purge(invocation: Invocation): Promise<ExitCode> {
  const { force = false, json = false, queues = [], excludeQueues = [] } = invocation.options as PurgeOptions;
  const { io } = invocation;
  if (json && !force) throw nobodyIsAsked();
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const names = internals.consumedQueues(queues, excludeQueues).map((queue) => queue.name);
    if (!force && !(await confirmed(names, invocation))) {
      io.err("petiole purge: nothing was deleted.\n");
      return 1;
    }
    const deleted = await purgeQueues(app, names);
    if (json) {
      io.out(jsonLine({ purged: deleted, queues: names }));
      return 0;
    }
    const known = `${names.length} known task ${plural("queue", names.length)}`;
    io.out(
      deleted === 0
        ? `No messages purged from ${known}.\n`
        : `Purged ${deleted} ${plural("message", deleted)} from ${known}.\n`,
    );
    return 0;
  } finally {
    await app.close();
  }
}

/** A program that reads JSON does not answer questions. */
export function nobodyIsAsked(): PetioleError {
  return new PetioleError("PET_USAGE", "with --json nothing is asked: say --force to delete");
}

async function confirmed(names: readonly string[], { io }: Invocation): Promise<boolean> {
  const answer = await io.ask(
    `All waiting tasks of ${plural("queue", names.length)} ${names.join(", ")} will be deleted; there is no way back. (-f does not ask.)\nDelete them? [y/N] `,
  );
  return /^y(es)?$/i.test(answer?.trim() ?? "");
}

/** Empties queues; gives the number of messages that were in them. */
export async function purgeQueues(app: Celery, names: readonly string[]): Promise<number> {
  const transport = await internalsOf(app).openTransport("producer");
  try {
    await transport.start(new AbortController().signal);
    let deleted = 0;
    for (const name of names) deleted += await transport.purge(name);
    return deleted;
  } finally {
    await transport.stop();
  }
}

function plural(word: string, number: number): string {
  return number === 1 ? word : `${word}s`;
}
