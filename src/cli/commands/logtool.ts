/** `petiole logtool`: reads workers' logs. Python: `celery/bin/logtool.py`, which does not read Celery's logs of today. */
import { createReadStream } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { PetioleError } from "../../errors.ts";
import type { ExitCode, Invocation, Io } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { LogAudit, type LogStats } from "../logtool/audit.ts";
import { entriesOf, type LogEntry } from "../logtool/entries.ts";
import { wordOf } from "../words.ts";

interface Printer {
  entry?(entry: LogEntry): void;
  end?(): void;
}

type Action = (io: Io, json: boolean) => Printer;

export async function logtool({ args, options, io, globals }: Invocation): Promise<ExitCode> {
  const [action = "", ...files] = args;
  const make = wordOf(ACTIONS, action, "logtool");
  if (files.length === 0 && process.stdin.isTTY) {
    throw new PetioleError(
      "PET_USAGE",
      `which log? petiole logtool ${action} FILE, or send one to standard input`,
    );
  }
  const printer = make(io, options["json"] === true);
  for (const file of files.length === 0 ? ["-"] : files) {
    for await (const entry of entriesOf(linesOf(file, globals.workdir))) printer.entry?.(entry);
  }
  printer.end?.();
  return 0;
}

async function* linesOf(file: string, workdir: string | null): AsyncGenerator<string> {
  const input = file === "-" ? process.stdin : createReadStream(resolve(workdir ?? "", file));
  try {
    // The first error is that of opening the file.
    yield* createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    throw unreadable(file, error);
  }
}

function unreadable(file: string, cause: unknown): PetioleError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new PetioleError("PET_USAGE", `the log ${file} cannot be read: ${reason}`, { cause });
}

const ACTIONS: Readonly<Record<string, Action>> = {
  stats(io, json) {
    const audit = new LogAudit();
    return {
      entry: (entry) => audit.add(entry),
      end: () => io.out(json ? jsonLine(audit.stats()) : statsText(audit.stats())),
    };
  },
  traces: (io, json) => ({
    entry({ task, id, line, trace }) {
      if (trace.length === 0) return;
      const traceback = trace.join("\n");
      io.out(json ? jsonLine({ task, id, line, traceback }) : `${line}\n${traceback}\n`);
    },
  }),
  errors: (io, json) => ({
    entry({ kind, task, id, line }) {
      if (kind === "failed" || kind === "rejected") io.out(json ? jsonLine({ task, id, line }) : `${line}\n`);
    },
  }),
  incomplete(io, json) {
    const audit = new LogAudit();
    return {
      entry: (entry) => audit.add(entry),
      end() {
        for (const one of audit.incomplete()) {
          io.out(json ? jsonLine(one) : `Did not complete: ${one.id} (${one.task})\n`);
        }
      },
    };
  },
  debug: (io, json) => ({
    entry({ kind, task, id, line }) {
      if (kind === "other") io.out(json ? jsonLine({ task, id, line }) : `${line}\n`);
    },
  }),
};

/** Celery's report, with the retries. */
function statsText({ total, succeeded, errors, retries, completed, types }: LogStats): string {
  const rows = Object.entries(types).map(([name, count]) => `${name}: ${count}\n`);
  return `Report
======
Task total: ${total}
Task errors: ${errors}
Task success: ${succeeded}
Task completed: ${completed}
Task retries: ${retries}
Tasks
=====
${rows.join("")}`;
}
