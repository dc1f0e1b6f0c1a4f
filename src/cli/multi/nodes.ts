/** The nodes that `petiole multi` is asked for: their names, files and command lines. Python: `celery.apps.multi.Node`. */
import { mkdirSync } from "node:fs";
import { hostname as osHostname } from "node:os";
import { dirname, resolve } from "node:path";
import { PetioleError } from "../../errors.ts";
import { expandFileName, expandNodeName } from "../../protocol/nodenames.ts";
import { PidFile } from "../daemon/pid-file.ts";
import { flagsOf } from "../option-types.ts";
import { GLOBAL_OPTIONS } from "../specs/global.ts";
import { chosen, type MultiWords, type Words } from "./words.ts";

/** Not Celery's own folders: workers of both may have one name. */
const PIDFILE = "/var/run/petiole/%n.pid";
const LOGFILE = "/var/log/petiole/%n%I.log";

/** Read by multi itself. */
const OWN: ReadonlySet<string> = new Set([
  "-n",
  "--hostname",
  "--prefix",
  "--suffix",
  "--range-prefix",
  "--verbose",
  "-q",
  "--quiet",
  "-j",
  "--json",
]);
const GLOBAL: ReadonlySet<string> = new Set(GLOBAL_OPTIONS.flatMap((spec) => flagsOf(spec).names));

export class Node {
  readonly name: string;
  readonly executable: string | null;
  /** After node and the program. */
  readonly words: readonly string[];
  /** Absolute. */
  readonly logfile: string;
  readonly pidfile: string;
  /** The worker changes its user: its log is not to be opened before. */
  readonly changesUser: boolean;

  constructor(name: string, options: Words, rest: readonly string[]) {
    this.name = name;
    const all = new Map(options);
    const first = (flags: readonly string[]): string | null => {
      for (const flag of flags) if (all.get(flag)) return all.get(flag) ?? null;
      return null;
    };
    const cwd = resolve(first(["--workdir"]) ?? ".");
    const pidfile = first(["--pidfile"]) ?? PIDFILE;
    const logfile = first(["-f", "--logfile"]) ?? LOGFILE;
    all.delete("-f");
    all.set("--pidfile", pidfile);
    all.set("--logfile", logfile);
    this.executable = first(["--executable"]);
    this.changesUser = all.has("--uid") || all.has("--gid");
    this.pidfile = resolve(cwd, expandFileName(pidfile, name));
    this.logfile = resolve(cwd, expandFileName(logfile, name));
    const told = [...all].filter(([flag]) => !OWN.has(flag));
    const written = (wanted: boolean): string[] =>
      told
        .filter(([flag]) => GLOBAL.has(flag) === wanted)
        .flatMap(([flag, value]) => this.#written(flag, value));
    this.words = [...written(true), "worker", "--detach", "-n", name, ...written(false), ...rest];
  }

  /** `%n` and `%h` of it, in any text. */
  expand(template: string): string {
    return expandFileName(template, this.name);
  }

  #written(flag: string, value: string | null): readonly string[] {
    if (value === null) return [flag];
    const text = this.expand(value);
    return flag.startsWith("--") ? [`${flag}=${text}`] : [flag, text];
  }

  /** Of its process; null: it does not run. */
  pid(): number | null {
    const holder = new PidFile(this.pidfile).holder();
    return holder.kind === "runs" ? holder.pid : null;
  }

  makeFolders(): void {
    for (const file of [this.pidfile, this.logfile]) {
      try {
        mkdirSync(dirname(file), { recursive: true });
      } catch (cause) {
        const message = `the folder of ${file} cannot be made: ${(cause as Error).message}: give --pidfile and --logfile`;
        throw new PetioleError("PET_DAEMON", message, { cause });
      }
    }
  }
}

/** @throws PetioleError `PET_USAGE` */
export function nodesOf(words: MultiWords): readonly Node[] {
  const { options } = words;
  if (words.names.length === 0 || (words.names.length === 1 && Number(words.names[0]) === 0)) {
    throw new PetioleError(
      "PET_USAGE",
      "no node is named: say their names, or how many, as in petiole multi start 3",
    );
  }
  const [only = ""] = words.names;
  const counted = words.names.length === 1 && /^\d+$/.test(only);
  const names = counted ? Array.from({ length: Number(only) }, (_, n) => String(n + 1)) : words.names;
  const host = options.get("--hostname") ?? options.get("-n") ?? osHostname();
  const prefix = counted ? (options.get("--range-prefix") ?? "celery") : (options.get("--prefix") ?? "");
  const suffix = options.get("--suffix") ?? host;
  const full = names.map((name) =>
    expandNodeName(name.includes("@") ? name : `${prefix}${name}@${suffix}`, osHostname()),
  );
  const double = full.find((name, index) => full.indexOf(name) !== index);
  if (double !== undefined) throw new PetioleError("PET_USAGE", `there are two nodes ${double}`);
  const own = names.map(() => new Map(options));
  for (const [whom, more] of words.some) {
    const known = full.indexOf(whom);
    for (const index of known >= 0 ? [known] : chosen(whom, names)) {
      for (const [flag, value] of more) own[index]?.set(flag, value);
    }
  }
  return full.map((name, index) => new Node(name, own[index] ?? options, words.rest));
}
