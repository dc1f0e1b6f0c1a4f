/** The words of `petiole statedb`. */
import type { CommandSpec } from "../option-types.ts";
import { age, count, text } from "../values.ts";

const ACTIONS = ["list", "show", "purge", "forget-worker"] as const;

export const STATEDB: CommandSpec = {
  name: "statedb",
  about: "look at what is kept of revoked tasks, and clean it up",
  arguments: [
    {
      name: "<action>",
      about: "list, show, purge, forget-worker (share what a worker revoked, and delete the rest)",
      words: ACTIONS,
    },
    { name: "[worker...]", about: "names of workers; show and purge without one: what all share" },
  ],
  options: [
    {
      flags: "-S, --statedb <where>",
      about: "a file, or redis://… (default: the app's)",
      group: "Which",
      parse: text,
    },
    { flags: "--redis-statedb <url>", about: "the same on Redis", group: "Which", parse: text },
    {
      flags: "--older-than <age>",
      about: "purge: what was revoked longer ago; seconds, or 90m, 12h, 30d",
      group: "Which",
      parse: age,
    },
    {
      flags: "--no-merge",
      about: "forget-worker: do not share what it revoked: it may run then",
      group: "Which",
    },
    { flags: "-n, --limit <n>", about: "show: so many at most (default: 50)", group: "Output", parse: count },
  ],
  json: {
    shape:
      'list: {"location", "shared": {"ids", "stamps"}, "workers": [{"node", "ids", "stamps", "clock", "blobBytes", "seenMs", "alive"}, …]}; show: a line for each, {"id" or "stamp", "revoked"}; purge: {"purged"}; forget-worker: a line for each, {"worker", "found", "merged"}',
  },
  examples: [
    ["petiole -A app statedb list", "of which workers something is kept, and which of them are gone"],
    ["petiole -A app statedb purge --older-than 30d", "what was revoked longer ago may run again"],
    ["petiole -A app statedb forget-worker celery@pod-1", "a pod that never comes back"],
  ],
};
