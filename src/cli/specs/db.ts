/** The words of `petiole db`. */
import type { CommandSpec } from "../option-types.ts";
import { oneOf, text } from "../values.ts";

const PARTS = ["results", "beat"] as const;

export const DB: CommandSpec = {
  name: "db",
  about: "make the tables of results and schedules in a SQL database",
  arguments: [
    {
      name: "<action>",
      about: "migrate: make what is missing, as Django's migrations would, and record it for Django",
      words: ["migrate"],
    },
  ],
  options: [
    {
      flags: "--database <url>",
      about: "postgresql://…, mysql://… or sqlite:///… (default: the app's resultBackend or databaseUrl)",
      group: "Which",
      parse: text,
    },
    {
      flags: "--only <part>",
      about: "results or beat (default: both)",
      group: "Which",
      parse: oneOf(PARTS),
      words: PARTS,
    },
    {
      flags: "--check",
      about: "change nothing; exit code 1 where something is missing",
      group: "Output",
    },
    { flags: "--sql", about: "print the statements for an empty database; connect to none", group: "Output" },
  ],
  json: {
    shape:
      '{"database", "apps": [{"app", "state": "absent", "current", "unrecorded", "behind" or "different", "missing", "problems", "newer", "made", "recorded"}, …], "petiole": its own tables: "absent", "made", "current" or null}; with --sql {"sql"}',
  },
  examples: [
    ["petiole -A app db migrate", "where the app keeps its results"],
    ["petiole db migrate --database postgresql://ann@db/shop --check", "for a start script"],
    ["petiole db migrate --database mysql://h/x --sql > tables.sql", "for a migration tool of your own"],
  ],
};
