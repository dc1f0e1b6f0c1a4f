/** `petiole multi`: starts, stops and shows several workers of this machine. Python: `celery/bin/multi.py`. */
import { setTimeout as pause } from "node:timers/promises";
import { didYouMean } from "../../base/nearest.ts";
import { version } from "../../base/version.ts";
import { PetioleError } from "../../errors.ts";
import { detach } from "../daemon/detach.ts";
import { isRunning } from "../daemon/pid-file.ts";
import type { ExitCode, Invocation, Io } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { type Node, nodesOf } from "../multi/nodes.ts";
import { type MultiWords, readWords } from "../multi/words.ts";

const LOOK_MS = 100;

/** `args`: all words after `multi`, and the global ones that stood before it; `options`: what the environment has. */
export async function multi({ args, options, io }: Invocation): Promise<ExitCode> {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  const [action = "", ...others] = [...args.slice(0, end), ...wordsOf(options, args), ...args.slice(end)];
  const run = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
  if (run === undefined) {
    const near = didYouMean(action, Object.keys(ACTIONS));
    throw new PetioleError(
      "PET_USAGE",
      `there is no command ${JSON.stringify(action)} of petiole multi${near}: it is one of ${Object.keys(ACTIONS).join(", ")}`,
    );
  }
  return run(others, new Teller(io));
}

function wordsOf(options: Invocation["options"], args: readonly string[]): readonly string[] {
  return Object.entries(options).flatMap(([key, value]) => {
    const flag = `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    if (args.some((word) => word === flag || word.startsWith(`${flag}=`))) return [];
    return value === true ? [flag] : [`${flag}=${String(value)}`];
  });
}

type Action = (words: readonly string[], tell: Teller) => Promise<ExitCode> | ExitCode;

const ACTIONS: Readonly<Record<string, Action>> = {
  start: (words, tell) => withNodes(words, tell, (nodes) => start(nodes, tell)),
  stop: (words, tell) => withNodes(words, tell, (nodes, { signal }) => void stop(nodes, signal, tell)),
  stopwait: (words, tell) => withNodes(words, tell, stopAndWait(tell)),
  stop_verify: (words, tell) => withNodes(words, tell, stopAndWait(tell)),
  restart: (words, tell) =>
    withNodes(words, tell, async (nodes, asked) => {
      await stopAndWait(tell)(nodes, asked);
      return start(nodes, tell);
    }),
  kill: (words, tell) => withNodes(words, tell, (nodes) => void stop(nodes, "SIGKILL", tell)),
  names(words, tell) {
    const asked = readWords(words);
    const nodes = nodesOf(asked);
    return isJson(asked)
      ? jsonOf(
          nodes.map(({ name }) => name),
          tell,
        )
      : printed(nodes, tell, ({ name }) => name);
  },
  show: (words, tell) => shown(readWords(words), tell, () => true),
  expand([template = "", ...words], tell) {
    return printed(nodesOf(readWords(words)), tell, (node) => node.expand(template));
  },
  get([wanted = "", ...words], tell) {
    return shown(readWords(words), tell, ({ name }) => name === wanted || name.startsWith(`${wanted}@`));
  },
};

/** What is told on standard output; nothing with `-q`. */
class Teller {
  readonly io: Io;
  quiet = false;
  verbose = false;

  constructor(io: Io) {
    this.io = io;
  }

  say(text: string): void {
    if (!this.quiet) this.io.out(text);
  }
}

async function withNodes(
  words: readonly string[],
  tell: Teller,
  run: (nodes: readonly Node[], asked: MultiWords) => Promise<ExitCode | void> | ExitCode | void,
): Promise<ExitCode> {
  const asked = readWords(words);
  tell.quiet = asked.options.has("-q") || asked.options.has("--quiet");
  tell.verbose = asked.options.has("--verbose");
  const nodes = nodesOf(asked);
  tell.say(`petiole multi v${version()}\n`);
  return (await run(nodes, asked)) ?? 0;
}

function printed(nodes: readonly Node[], tell: Teller, text: (node: Node) => string): ExitCode {
  for (const node of nodes) tell.io.out(`${text(node)}\n`);
  return 0;
}

function isJson({ options }: MultiWords): boolean {
  return options.has("-j") || options.has("--json");
}

function jsonOf(value: unknown, tell: Teller): ExitCode {
  tell.io.out(jsonLine(value));
  return 0;
}

/** Their commands. 1: there is none of this name, as Celery. */
function shown(asked: MultiWords, tell: Teller, wanted: (node: Node) => boolean): ExitCode {
  const nodes = nodesOf(asked).filter(wanted);
  if (isJson(asked))
    jsonOf(
      nodes.map((node) => ({ name: node.name, command: commandOf(node) })),
      tell,
    );
  else printed(nodes, tell, textOf);
  return nodes.length > 0 ? 0 : 1;
}

function commandOf({ executable, words }: Node): readonly string[] {
  return [executable ?? process.execPath, process.argv[1] ?? "petiole", ...words];
}

function textOf(node: Node): string {
  return commandOf(node).map(quoted).join(" ");
}

/** For a shell. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** One after the other: each is up, or has said why not, before the next. */
async function start(nodes: readonly Node[], tell: Teller): Promise<ExitCode> {
  tell.say("> Starting nodes...\n");
  let failed = false;
  for (const node of nodes) {
    if (tell.verbose) tell.say(`  ${textOf(node)}\n`);
    const trouble = await troubleOf(node, tell.io.cwd);
    failed ||= trouble !== null;
    tell.say(`\t> ${node.name}: ${trouble === null ? "OK" : "FAILED"}\n`);
    if (trouble !== null) tell.io.err(`${trouble.trim()}\n`);
  }
  return failed ? 1 : 0;
}

/** null: it runs. */
async function troubleOf(node: Node, cwd: string): Promise<string | null> {
  const { executable, changesUser, logfile } = node;
  node.makeFolders();
  const how = await detach(node.words, { executable, cwd, logfile: changesUser ? null : logfile });
  if (how.kind === "up") return null;
  return how.said === ""
    ? `petiole multi: ${node.name} ended at once, with ${how.signal ?? `exit code ${how.code}`}`
    : how.said;
}

/** Sends a signal to those that run; gives their process ids. */
function stop(
  nodes: readonly Node[],
  signal: NodeJS.Signals | null,
  tell: Teller,
): readonly (readonly [Node, number])[] {
  const sent = signal ?? "SIGTERM";
  const told: (readonly [Node, number])[] = [];
  tell.say("> Stopping nodes...\n");
  for (const node of nodes) {
    const pid = node.pid();
    if (pid === null) {
      tell.say(`> ${node.name}: DOWN\n`);
      continue;
    }
    tell.say(`\t> ${node.name}: ${sent.replace(/^SIG/, "")} -> ${pid}\n`);
    try {
      process.kill(pid, sent);
      told.push([node, pid]);
    } catch (error) {
      tell.io.err(`Could not signal ${node.name} (${pid}): ${(error as Error).message}\n`);
    }
  }
  return told;
}

/** Waits for as long as they take: a warm stop waits for tasks. */
function stopAndWait(tell: Teller): (nodes: readonly Node[], asked: MultiWords) => Promise<void> {
  return async (nodes, { signal }) => {
    let left = stop(nodes, signal, tell);
    if (left.length > 0) {
      tell.say(
        `> Waiting for ${left.length} ${left.length === 1 ? "node" : "nodes"} -> ${left.map(([, pid]) => pid).join(", ")}\n`,
      );
    }
    while (left.length > 0) {
      await pause(LOOK_MS);
      for (const [node, pid] of left) if (!isRunning(pid)) tell.say(`\t> ${node.name}: OK\n`);
      left = left.filter(([, pid]) => isRunning(pid));
    }
  };
}
