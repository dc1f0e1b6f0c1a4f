/** `petiole shell`: a Node prompt with the app at hand. Python: `celery/bin/shell.py`. */
import { createRequire } from "node:module";
import { start } from "node:repl";
import { inspect } from "node:util";
import { compileFunction, constants } from "node:vm";
import type { Celery } from "../../app/app.ts";
import { internalsOf } from "../../app/internals.ts";
import { version } from "../../base/version.ts";
import { PetioleError } from "../../errors.ts";
import * as petiole from "../../index.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";

/** What the option table reads for this command. */
interface ShellOptions {
  readonly eval?: string;
  readonly json?: boolean;
}

export async function shell(invocation: Invocation): Promise<ExitCode> {
  const { eval: code, json = false } = invocation.options as ShellOptions;
  if (json && code === undefined) {
    throw new PetioleError("PET_USAGE", "--json is for what --eval gives: petiole shell --json --eval CODE");
  }
  const { io, globals } = invocation;
  const app = await openApp(invocation, { needsModule: false });
  try {
    await internalsOf(app).finalize();
    const names = namesFor(app);
    if (code !== undefined) {
      const value = await evaluated(code, names);
      if (json) io.out(jsonLine({ value: value ?? null }));
      else if (value !== undefined)
        io.out(`${typeof value === "string" ? value : shown(value, globals.color)}\n`);
      return 0;
    }
    const isTerminal = process.stdin.isTTY;
    if (isTerminal && !globals.quiet) io.out(greeting(app, names));
    await prompt(names, { terminal: isTerminal, color: globals.color });
    return 0;
  } finally {
    await app.close();
  }
}

type Names = Readonly<Record<string, unknown>>;

/** The app, what the package exports, and each task by the last part of its name where that is free. */
function namesFor(app: Celery): Names {
  const own: Record<string, unknown> = {
    ...petiole,
    petiole,
    app,
    celery: app,
    control: app.control,
    result: (id: string) => app.asyncResult(id),
    require: createRequire(`${process.cwd()}/`),
  };
  const taken = new Set(Object.keys(own));
  const tasks: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [name, task] of app.tasks) {
    tasks[name] = task;
    const last = name.split(".").at(-1) ?? "";
    if (name.startsWith("celery.") || !/^[A-Za-z_$][\w$]*$/.test(last) || taken.has(last)) continue;
    // Of two with the same last part the first has it, as in Celery's.
    own[last] ??= task;
  }
  return { ...own, tasks };
}

function greeting(app: Celery, names: Names): string {
  const count = Object.keys(names["tasks"] as object).filter((name) => !name.startsWith("celery.")).length;
  return `petiole ${version()}, app ${JSON.stringify(app.name)}: ${count} ${count === 1 ? "task" : "tasks"}. At hand are app, tasks, control, result(id), each task by the
last part of its name, and all that the package exports. .exit or Ctrl-D ends.
`;
}

async function prompt(
  names: Names,
  how: { readonly terminal: boolean; readonly color: boolean },
): Promise<void> {
  const server = start({
    prompt: how.terminal ? "petiole> " : "",
    terminal: how.terminal,
    useColors: how.terminal && how.color,
  });
  Object.assign(server.context, names);
  await new Promise<void>((resolve) => {
    server.once("exit", () => resolve());
  });
}

/** An expression; what is none is run as statements, whose `return` gives the value. */
async function evaluated(code: string, names: Names): Promise<unknown> {
  const parameters = Object.keys(names).filter(
    (name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== "default",
  );
  const compile = (body: string): (() => Promise<unknown>) => {
    const made = compileFunction(`return (async () => {${body}\n})`, parameters, {
      filename: "--eval",
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    }) as (...values: unknown[]) => () => Promise<unknown>;
    return made(...parameters.map((name) => names[name]));
  };
  let run: () => Promise<unknown>;
  try {
    run = compile(`return (${code}\n)`);
  } catch {
    try {
      run = compile(code);
    } catch (error) {
      throw new PetioleError("PET_USAGE", `option --eval: ${String(error)}`, { cause: error });
    }
  }
  return run();
}

function shown(value: unknown, colors: boolean): string {
  return inspect(value, { colors: colors && process.stdout.isTTY, depth: 8, maxArrayLength: 1000 });
}
