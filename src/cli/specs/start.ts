/** The words of the commands that a project begins with. */
import type { CommandSpec } from "../option-types.ts";

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
