import type { ExitCode, Io } from "../../../src/cli/io.ts";
import { run } from "../../../src/cli/program.ts";

export interface Ran {
  readonly code: ExitCode;
  readonly out: string;
  readonly err: string;
  readonly asked: readonly string[];
}

/** One run of the program with its output in strings. `answers` are what the user types. */
export async function ran(
  words: readonly string[],
  given: {
    readonly env?: Io["env"];
    readonly cwd?: string;
    readonly answers?: readonly string[];
    readonly columns?: number;
  } = {},
): Promise<Ran> {
  let out = "";
  let err = "";
  const asked: string[] = [];
  const answers = [...(given.answers ?? [])];
  const code = await run(words, {
    env: given.env ?? {},
    cwd: given.cwd ?? import.meta.dirname,
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    columns: given.columns ?? null,
    ask: async (question) => {
      asked.push(question);
      return answers.shift() ?? null;
    },
  });
  return { code, out, err, asked };
}
