/** `petiole schedule`: entries of the schedule. Python has no counterpart. */
import { internalsOf } from "../../app/internals.ts";
import type { BeatEntry } from "../../app/periodic.ts";
import type { ScheduleInfo, UnreadableSchedule } from "../../app/schedule-types.ts";
import { AppSchedules } from "../../app/schedules.ts";
import { PetioleError } from "../../errors.ts";
import { cron, crontab } from "../../schedules/crontab.ts";
import { clocked } from "../../schedules/schedule.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import { flagsOf } from "../option-types.ts";
import { SCHEDULE } from "../specs/schedule.ts";
import { wordOf } from "../words.ts";

/** What the option table reads for this command. */
interface ScheduleOptions {
  readonly task?: string;
  readonly args?: readonly unknown[];
  readonly kwargs?: Readonly<Record<string, unknown>>;
  readonly queue?: string;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly disabled?: boolean;
  readonly every?: number;
  readonly crontab?: string;
  readonly cron?: string;
  readonly at?: Date;
  readonly timezone?: string;
  readonly startTime?: Date;
  readonly endTime?: Date;
  readonly oneOff?: boolean;
  readonly jitter?: number;
  readonly catchUp?: BeatEntry["catchUp"];
  readonly overlap?: BeatEntry["overlap"];
  readonly scheduler?: string;
  readonly schedule?: string;
  readonly json?: boolean;
}

type Row = ScheduleInfo | UnreadableSchedule;

interface Scope {
  readonly schedules: AppSchedules;
  readonly names: readonly string[];
  readonly options: ScheduleOptions;
}

/** Gives what is printed: a text, or what `--json` shows. */
type Action = (scope: Scope) => Promise<{ readonly json: readonly unknown[]; readonly text: string }>;

const ACTIONS: Readonly<Record<string, Action>> = {
  async list({ schedules }) {
    const rows = await schedules.list();
    return { json: rows, text: rows.length === 0 ? "The schedule has no entries.\n" : table(rows) };
  },
  async show({ schedules, names }) {
    const rows = await each(names, (name) => schedules.get(name));
    return { json: rows, text: rows.map(page).join("\n") };
  },
  async add({ schedules, names, options }) {
    const name = onlyOne(names, "add");
    if (options.task === undefined) {
      throw new PetioleError("PET_USAGE", `say what entry ${JSON.stringify(name)} sends: --task <name>`);
    }
    const when = whenOf(options);
    if (when === null) {
      throw new PetioleError(
        "PET_USAGE",
        `say when entry ${JSON.stringify(name)} runs: one of --every, --crontab, --cron and --at`,
      );
    }
    const { disabled = false } = options;
    return changed([
      await schedules.add(name, {
        task: options.task,
        schedule: when,
        ...given(options),
        enabled: !disabled,
      }),
    ]);
  },
  async edit({ schedules, names, options }) {
    const name = onlyOne(names, "edit");
    const { task } = options;
    const when = whenOf(options);
    const changes = {
      ...(task === undefined ? {} : { task }),
      ...(when === null ? {} : { schedule: when }),
      ...given(options, await optionsBefore(schedules, name, options)),
      ...(options.disabled === true ? { enabled: false } : {}),
    };
    if (Object.keys(changes).length === 0) {
      throw new PetioleError("PET_USAGE", `say what is to change of entry ${JSON.stringify(name)}`);
    }
    return changed([await schedules.edit(name, changes)]);
  },
  enable: async ({ schedules, names }) => changed(await each(names, (name) => schedules.enable(name))),
  disable: async ({ schedules, names }) => changed(await each(names, (name) => schedules.disable(name))),
  async run({ schedules, names }) {
    const sent = await each(names, async (name) => ({ name, id: (await schedules.run(name)).id }));
    return { json: sent, text: sent.map(({ id }) => `${id}\n`).join("") };
  },
  async remove({ schedules, names }) {
    const removed = await each(names, async (name) => {
      await schedules.remove(name);
      return { name, removed: true };
    });
    return { json: removed, text: removed.map(({ name }) => `Removed ${name}.\n`).join("") };
  },
};

export async function schedule(invocation: Invocation): Promise<ExitCode> {
  const [action = "", ...rest] = invocation.args;
  const options = invocation.options as ScheduleOptions;
  const run = wordOf(ACTIONS, action, "schedule");
  if (action !== "add" && action !== "edit") refuseContent(action, invocation.options);
  const names = [...new Set(rest)];
  if (action !== "list" && names.length === 0) {
    throw new PetioleError("PET_USAGE", `say which entry: petiole schedule ${action} <name>`);
  }
  const app = await openApp(invocation, { needsModule: false });
  const { scheduler, schedule: file } = options;
  const schedules = new AppSchedules(internalsOf(app), { scheduler, schedule: file });
  try {
    const { json, text } = await run({ schedules, names, options });
    invocation.io.out(options.json === true ? jsonLine(json) : text);
    return 0;
  } finally {
    await schedules.close();
    await app.close();
  }
}

/** Words of an entry, where none is written. */
function refuseContent(action: string, words: Invocation["options"]): void {
  for (const spec of SCHEDULE.options) {
    const { key, long } = flagsOf(spec);
    if ((spec.group !== "What" && spec.group !== "When") || words[key] === undefined) continue;
    throw new PetioleError(
      "PET_USAGE",
      `schedule ${action} does not take ${long}: it goes with schedule add and schedule edit`,
    );
  }
}

async function each<T>(names: readonly string[], act: (name: string) => Promise<T>): Promise<T[]> {
  const done: T[] = [];
  for (const name of names) done.push(await act(name));
  return done;
}

function onlyOne(names: readonly string[], action: string): string {
  if (names.length === 1) return names[0] as string;
  throw new PetioleError("PET_USAGE", `schedule ${action} takes one name, not ${names.length}`);
}

/** Those of the send, which the words add to. */
async function optionsBefore(
  schedules: AppSchedules,
  name: string,
  { queue, options }: ScheduleOptions,
): Promise<BeatEntry["options"]> {
  if (queue === undefined && options === undefined) return {};
  const before = await schedules.get(name);
  return before.kind === "entry" ? before.options : {};
}

/** null: the words do not say. */
function whenOf({
  every: seconds,
  crontab: fields,
  cron: text,
  at,
  timezone,
}: ScheduleOptions): BeatEntry["schedule"] | null {
  const said = [seconds, fields, text, at].filter((one) => one !== undefined);
  if (said.length > 1) {
    throw new PetioleError("PET_USAGE", "give one of --every, --crontab, --cron and --at");
  }
  if (timezone !== undefined && fields === undefined && text === undefined) {
    throw new PetioleError("PET_USAGE", "--timezone goes with --crontab or --cron");
  }
  if (seconds !== undefined) return seconds;
  if (at !== undefined) return clocked(at);
  if (text !== undefined) return cron(text, { timezone });
  if (fields === undefined) return null;
  const parts = fields.trim().split(/\s+/);
  if (parts.length !== 5) {
    throw new PetioleError(
      "PET_USAGE",
      `--crontab ${JSON.stringify(fields)} has ${parts.length} fields; it takes five: minute hour day month weekday`,
    );
  }
  const [minute, hour, dayOfMonth, monthOfYear, dayOfWeek] = parts;
  return crontab({ minute, hour, dayOfMonth, monthOfYear, dayOfWeek, timezone });
}

/** What the words say besides task and schedule. */
function given(words: ScheduleOptions, before: BeatEntry["options"] = {}): Partial<BeatEntry> {
  const { args, kwargs, queue, options, startTime, endTime, oneOff, jitter, catchUp, overlap } = words;
  const send = options === undefined && queue === undefined ? undefined : { ...before, ...options };
  const said = {
    args,
    kwargs,
    options: queue === undefined ? send : { ...send, queue },
    startTime,
    endTime,
    oneOff,
    jitter,
    catchUp,
    overlap,
  };
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
}

function changed(rows: readonly ScheduleInfo[]): { json: readonly unknown[]; text: string } {
  const own = rows.filter((one) => one.own).map(({ name }) => name);
  const note =
    own.length === 0
      ? ""
      : `${own.join(", ")}: of the app's modules, which the next start of a scheduler writes anew (enabled or not stays).\n`;
  return { json: rows, text: table(rows) + note };
}

const HEAD = ["NAME", "TASK", "WHEN", "LAST RUN", "RUNS", "NEXT RUN"];

function table(rows: readonly Row[]): string {
  const lines = [HEAD, ...rows.map(cells)];
  const widths = HEAD.map((_, at) => Math.max(...lines.map((line) => (line[at] ?? "").length)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, at) => cell.padEnd(widths[at] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function cells(row: Row): string[] {
  if (row.kind === "unreadable") return [row.name, `cannot be read: ${row.reason}`];
  const { name, task, when, lastRunAt, totalRunCount, nextRunAt, enabled } = row;
  const next = enabled ? time(nextRunAt) : "disabled";
  return [name, task, when, time(lastRunAt), String(totalRunCount), next];
}

function page(row: Row): string {
  if (row.kind === "unreadable") return `${row.name}\n  cannot be read: ${row.reason}\n`;
  const { name, kind: _, ...fields } = row;
  const lines = Object.entries(fields).map(([key, value]) => {
    const shown = value instanceof Date ? value.toISOString() : JSON.stringify(value);
    return `  ${`${key}:`.padEnd(15)}${typeof value === "string" ? value : shown}\n`;
  });
  return `${name}\n${lines.join("")}`;
}

function time(date: Date | null): string {
  return date === null ? "-" : `${date.toISOString().slice(0, 19)}Z`;
}
