/** The words of the commands that help a developer. */
import type { CommandSpec } from "../option-types.ts";
import { text } from "../values.ts";
import { REMOTE } from "./shared.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

export const REPORT: CommandSpec = {
  name: "report",
  about: "print versions and settings for a bug report, without secrets",
  arguments: [],
  options: [],
  json: { shape: '{"petiole", "node", "platform", "settings": {…}}' },
  examples: [["petiole -A app report", "the settings that differ from their defaults"]],
};

export const SHELL: CommandSpec = {
  name: "shell",
  about: "a Node prompt with the app and its tasks at hand",
  arguments: [],
  options: [
    {
      flags: "-e, --eval <code>",
      about: "evaluate this, print what it gives, and end; await may be used",
      group: "Shell",
      parse: text,
    },
  ],
  json: {
    about: "with --eval: print what it gives as JSON",
    shape: '{"value": <what --eval gives>}',
  },
  examples: [
    ["petiole -A app shell", "then: await add.delay(2, 3)"],
    [`petiole -A app shell -e 'await app.control.ping()'`, "one line, for scripts"],
  ],
};

const GRAPHS = ["bindings", "workers", "bootsteps"] as const;

export const GRAPH: CommandSpec = {
  name: "graph",
  about: "draw what belongs together, in the language of graphviz",
  arguments: [
    {
      name: "<what>",
      about:
        "bindings, of exchanges to queues; workers, with their queues, broker and backend; bootsteps, in which a worker starts its parts",
      words: GRAPHS,
    },
  ],
  options: REMOTE,
  json: { shape: '{"nodes": [{"id", "label", "kind"}, …], "edges": [{"from", "to", "label"}, …]}' },
  examples: [["petiole -A app graph workers | dot -Tsvg > workers.svg", "a picture"]],
};

const LOGTOOLS = ["stats", "traces", "errors", "incomplete", "debug"] as const;

export const LOGTOOL: CommandSpec = {
  name: "logtool",
  about: "read what workers logged, those of Python too",
  arguments: [
    {
      name: "<action>",
      about:
        "stats, how many tasks of each name and how they ended; traces, tracebacks; errors, tasks that failed; incomplete, tasks without an end; debug, lines about no task",
      words: LOGTOOLS,
    },
    { name: "[file...]", about: "logs, as text or as JSON; standard input when none is given" },
  ],
  options: [],
  json: {
    about: "print JSON; all but stats: a line for each",
    shape:
      'stats: {"total", "succeeded", "errors", "retries", "completed", "types": {"<name>": <n>}}; traces: {"task", "id", "line", "traceback"}; errors, debug: {"task", "id", "line"}; incomplete: {"task", "id"}',
  },
  examples: [
    ["petiole logtool stats worker.log", "of a worker with -l INFO"],
    ["journalctl -o cat -u worker | petiole logtool errors", "from another program"],
  ],
};

export const EXPLAIN: CommandSpec = {
  name: "explain",
  about: "say what an error means and what to do about it",
  arguments: [
    { name: "[code...]", about: "such as PET_TIMEOUT, or a whole message with it; all when none is given" },
  ],
  options: [],
  json: { shape: '[{"code", "meaning", "remedy", "exitCode"}, …]' },
  examples: [["petiole explain PET_BROKER_UNREACHABLE", "one"]],
};

export const COMPLETE: CommandSpec = {
  name: "complete",
  about: "print a completion script for a shell",
  arguments: [{ name: "<shell>", about: SHELLS.join(", "), words: SHELLS }],
  options: [],
  json: { shape: '{"shell", "script"}' },
  examples: [
    [`source <(petiole complete bash)`, "in ~/.bashrc; zsh likewise in ~/.zshrc"],
    ["petiole complete fish > ~/.config/fish/completions/petiole.fish", "once"],
  ],
};
