import type { SettingRow } from "./row.ts";
import { anyText, nameOrNumber } from "./values.ts";

type Rows<P extends string> = {
  readonly [K in `${P}${"Logfile" | "Pidfile" | "Executable"}`]: SettingRow<string>;
} & {
  readonly [K in `${P}${"Uid" | "Gid" | "Umask"}`]: SettingRow<string | number>;
};

/** The daemon options that Celery's `worker`, `beat` and `events` programs read from the settings. */
export function daemon<P extends "worker" | "beat" | "events">(program: P): Rows<P> {
  const about = { old: null, kind: "U", default: null, effective: program !== "events" } as const;
  const rows: Readonly<Record<string, SettingRow>> = {
    [`${program}Logfile`]: { ...about, type: anyText, text: `Log file of a ${program} daemon.` },
    [`${program}Pidfile`]: {
      ...about,
      type: anyText,
      text: `File for the process id of a ${program} daemon.`,
    },
    [`${program}Executable`]: {
      ...about,
      effective: false,
      why: "Who starts the daemon has not loaded its app: say it on the command line, --executable.",
      type: anyText,
      text: `Node executable of a ${program} daemon.`,
    },
    [`${program}Uid`]: { ...about, type: nameOrNumber, text: `User of a ${program} daemon, name or number.` },
    [`${program}Gid`]: {
      ...about,
      type: nameOrNumber,
      text: `Group of a ${program} daemon, name or number.`,
    },
    [`${program}Umask`]: { ...about, type: nameOrNumber, text: `File mode mask of a ${program} daemon.` },
  };
  return rows as Rows<P>;
}
