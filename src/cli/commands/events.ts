/**
 * `petiole events`: what workers and tasks do, until it is interrupted: on the whole screen, line by line, or as snapshots for
 * a function. Python: `celery/bin/events.py`.
 */
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import { PetioleError } from "../../errors.ts";
import type { AnyEvent } from "../../protocol/events.ts";
import { stringifyJson } from "../../protocol/json.ts";
import { EventLines } from "../event-lines.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { loadCamera, shoot } from "../monitor/camera.ts";
import { monitor } from "../monitor/monitor.ts";
import { Terminal } from "../monitor/terminal.ts";
import { openApp } from "../open-app.ts";

/** What the option table reads for this command. */
interface EventsOptions {
  readonly dump?: boolean;
  readonly camera?: string;
  readonly freq?: number;
  readonly frequency?: number;
  readonly maxrate?: number;
  readonly json?: boolean;
}

const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export async function events(invocation: Invocation): Promise<ExitCode> {
  const options = invocation.options as EventsOptions;
  const show = waysOf(options);
  const app = await openApp(invocation, { needsModule: false });
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  for (const signal of ENDING) process.on(signal, onSignal);
  try {
    await internalsOf(app).finalize();
    await show(app, invocation, stop.signal);
    return 0;
  } finally {
    for (const signal of ENDING) process.off(signal, onSignal);
    await app.close();
  }
}

type Show = (app: Celery, invocation: Invocation, signal: AbortSignal) => Promise<void>;

function waysOf(options: EventsOptions): Show {
  const { dump = false, camera, frequency, freq = frequency, maxrate, json = false } = options;
  if (Number(dump) + Number(json) + Number(camera !== undefined) > 1) {
    throw new PetioleError("PET_USAGE", "--dump, --json and --camera exclude each other: say one");
  }
  if (freq !== undefined && camera === undefined) {
    throw new PetioleError("PET_USAGE", "--frequency is that of --camera, which is missing");
  }
  if (maxrate !== undefined && camera === undefined) {
    throw new PetioleError("PET_USAGE", "--maxrate is that of --camera, which is missing");
  }
  if (camera !== undefined) return (app, invocation, signal) => snapshots(app, invocation, signal);
  if (dump || json) return lines;
  if (Terminal.available) {
    return (app, { globals }, signal) => monitor(app, { color: globals.color, signal });
  }
  throw new PetioleError(
    "PET_USAGE",
    "this is no terminal for the monitor: petiole events --dump prints one line for each event, --json one object",
  );
}

async function lines(app: Celery, { io, globals, options }: Invocation, signal: AbortSignal): Promise<void> {
  const { json = false } = options as EventsOptions;
  const texts = new EventLines();
  const print = (event: AnyEvent): void => io.out(`${json ? stringifyJson(event) : texts.lineOf(event)}\n`);
  const say = (text: string): void => {
    if (json) io.err(`${text}\n`);
    else io.out(`${text}\n`);
  };
  const receiver = app.events.receiver({
    handlers: { "*": print },
    onGap: () => say("-> Connection lost and made again: events may have been missed"),
  });
  if (!globals.quiet) say("-> evdump: starting capture...");
  await receiver.capture({ signal });
}

async function snapshots(
  app: Celery,
  { io, globals, options }: Invocation,
  signal: AbortSignal,
): Promise<void> {
  const { camera: spec = "", frequency = 1, freq = frequency, maxrate } = options as EventsOptions;
  const camera = await loadCamera(spec, process.cwd());
  if (!globals.quiet) io.out(`-> evcam: Taking snapshots with ${spec} (every ${freq} secs.)\n`);
  await shoot(app, {
    camera,
    frequency: freq,
    maxRate: maxrate ?? null,
    signal,
    onError: (error) =>
      io.err(`petiole events: the camera failed: ${error instanceof Error ? error.stack : String(error)}\n`),
  });
}
