/** The words of the commands that a project begins with. */
import type { CommandSpec } from "../option-types.ts";
import { WORKER } from "./worker.ts";

/** Said as for the worker. */
const WORKERS = ["--queues", "--concurrency", "--loglevel"];

export const DEV: CommandSpec = {
  name: "dev",
  about:
    "run the project here while it is written: a worker that starts anew when a module changes, and the scheduler where there are periodic tasks. What it keeps is in .petiole/",
  arguments: [],
  options: WORKER.options.filter(({ flags }) => WORKERS.some((one) => flags.includes(`${one} `))),
  json: { about: "write each line of the log as JSON", shape: "lines as those of petiole worker --json" },
  examples: [
    ["petiole dev", "no server needed: without a brokerUrl it is a file"],
    ["petiole -A lib/tasks.ts dev", "another module"],
  ],
};

export const INIT: CommandSpec = {
  name: "init",
  about: "write a new project: a task, a script that calls it, and what they need",
  arguments: [
    {
      name: "[folder]",
      about: "of the project; else it is asked for. Files that are there are never overwritten",
    },
  ],
  options: [
    {
      flags: "-y, --yes",
      about: "ask nothing: without a folder it is this one where it is empty, else petiole-app",
      group: "Project",
    },
  ],
  json: { shape: '{"folder", "files": ["package.json", …]}' },
  examples: [
    ["petiole init shop", "the same as npm create petiole shop"],
    ["petiole init . --yes", "in this folder"],
  ],
};
