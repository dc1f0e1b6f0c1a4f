/** `petiole events`: prints events as they come, until it is interrupted. Python: `celery/bin/events.py`. */
import { internalsOf } from "../../app/internals.ts";
import { PetioleError } from "../../errors.ts";
import type { AnyEvent } from "../../protocol/events.ts";
import { stringifyJson } from "../../protocol/json.ts";
import { EventLines } from "../event-lines.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { openApp } from "../open-app.ts";

/** What the option table reads for this command. */
interface EventsOptions {
  readonly dump?: boolean;
  readonly json?: boolean;
}

export async function events(invocation: Invocation): Promise<ExitCode> {
  const { dump = false, json = false } = invocation.options as EventsOptions;
  if (dump === json) {
    throw new PetioleError(
      "PET_USAGE",
      "say how events are to be printed: --dump, one line each, or --json, one object each",
    );
  }
  const { io, globals } = invocation;
  const app = await openApp(invocation, { needsModule: false });
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    await internalsOf(app).finalize();
    const lines = new EventLines();
    const print = (event: AnyEvent): void => io.out(`${json ? stringifyJson(event) : lines.lineOf(event)}\n`);
    const say = (text: string): void => {
      if (json) io.err(`${text}\n`);
      else io.out(`${text}\n`);
    };
    const receiver = app.events.receiver({
      handlers: { "*": print },
      onGap: () => say("-> Connection lost and made again: events may have been missed"),
    });
    if (!globals.quiet) say("-> evdump: starting capture...");
    await receiver.capture({ signal: stop.signal });
    return 0;
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
    await app.close();
  }
}
