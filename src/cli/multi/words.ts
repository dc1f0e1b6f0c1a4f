/**
 * The words of `petiole multi` taken apart: names of nodes, options for all of them, and options for some of them
 * (`-c:1-3 10`, `-Q:image,video low`). Python: `celery.apps.multi.NamespacedOptionParser`, `MultiParser`.
 */
import { constants } from "node:os";
import { PetioleError } from "../../errors.ts";
import { flagsOf, type OptionSpec } from "../option-types.ts";
import { GLOBAL_OPTIONS } from "../specs/global.ts";
import { MULTI } from "../specs/multi.ts";
import { WORKER } from "../specs/worker.ts";

/** An option as it was written, without its colon: `-c`, `--pidfile`. null: a switch. */
export type Words = ReadonlyMap<string, string | null>;

export interface MultiWords {
  /** As they were written: `image`, `3`, `w1@%h`. */
  readonly names: readonly string[];
  readonly options: Words;
  /** By what stood behind the colon. */
  readonly some: ReadonlyMap<string, Words>;
  readonly signal: NodeJS.Signals | null;
  /** From `--` on. */
  readonly rest: readonly string[];
}

const SPECS: readonly OptionSpec[] = [
  ...GLOBAL_OPTIONS,
  ...WORKER.options,
  ...MULTI.options,
  { flags: "-j, --json", about: "", group: "" },
];
/** Flags that take the next word as their value. */
const WITH_VALUE: ReadonlySet<string> = new Set(
  SPECS.flatMap((spec) => (flagsOf(spec).takesValue ? flagsOf(spec).names : [])),
);
const SWITCHES: ReadonlySet<string> = new Set(
  SPECS.flatMap((spec) => (flagsOf(spec).takesValue ? [] : flagsOf(spec).names)),
);

/** @throws PetioleError `PET_USAGE` */
export function readWords(words: readonly string[]): MultiWords {
  const names: string[] = [];
  const options = new Map<string, string | null>();
  const some = new Map<string, Map<string, string | null>>();
  let signal: NodeJS.Signals | null = null;
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (word === "--") return { names, options, some, signal, rest: words.slice(at) };
    if (!word.startsWith("-")) {
      if (word !== "") names.push(word);
      continue;
    }
    const asked = signalOf(word);
    if (asked !== null) {
      signal = asked;
      continue;
    }
    const [, flag = "", whom, inline] = /^(--?[\w-]+?)(?::([^=]*))?(?:=(.*))?$/s.exec(word) ?? [];
    if (!WITH_VALUE.has(flag) && !SWITCHES.has(flag)) {
      throw new PetioleError(
        "PET_USAGE",
        `there is no option ${flag || word}: petiole multi takes its own and those of petiole worker`,
      );
    }
    let value: string | null = inline ?? null;
    if (value === null && WITH_VALUE.has(flag)) {
      at += 1;
      value = words[at] ?? null;
      if (value === null) throw new PetioleError("PET_USAGE", `option ${word} needs a value`);
    }
    const target = whom === undefined ? options : (some.get(whom) ?? new Map<string, string | null>());
    if (whom !== undefined) some.set(whom, target);
    target.set(flag, value);
  }
  return { names, options, some, signal, rest: [] };
}

/** `-9`, `-KILL`, `-SIGKILL`. */
function signalOf(word: string): NodeJS.Signals | null {
  const text = word.slice(1);
  const known = Object.entries(constants.signals) as readonly (readonly [NodeJS.Signals, number])[];
  if (/^\d+$/.test(text)) return known.find(([, number]) => number === Number(text))?.[0] ?? null;
  return known.find(([name]) => name === text || name === `SIG${text}`)?.[0] ?? null;
}

/** Which of these names `-c:<whom>` means: numbers count from 1; lists with commas, ranges of numbers. @throws PetioleError `PET_USAGE` */
export function chosen(whom: string, names: readonly string[]): readonly number[] {
  return whom.split(",").flatMap((part) => {
    const byName = names.findIndex((name) => name === part);
    if (byName >= 0) return [byName];
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part) ?? [];
    const [from, to] = [Number(first), Number(last)];
    if (first === undefined || from < 1 || to < from || to > names.length) {
      throw new PetioleError(
        "PET_USAGE",
        `:${whom} names no node: there is ${names.length === 1 ? "one" : `1 to ${names.length}`}, ${names.join(", ")}`,
      );
    }
    return Array.from({ length: to - from + 1 }, (_, index) => from - 1 + index);
  });
}
