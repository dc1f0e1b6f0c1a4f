#!/usr/bin/env node
/** The program `petiole`. Everything is imported after the compile cache is on, where Node has one (22.1 and later). */
import * as nodeModule from "node:module";

const { enableCompileCache } = nodeModule as { readonly enableCompileCache?: () => unknown };
enableCompileCache?.();

async function main(): Promise<void> {
  // `petiole … | head`: whoever reads has enough.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
  // As they are now: what a worker's tasks print may be sent to its log.
  const out = process.stdout.write.bind(process.stdout);
  const err = process.stderr.write.bind(process.stderr);
  const [{ run }, { DETACHED }] = await Promise.all([import("./program.ts"), import("./daemon/marks.ts")]);
  const told = process.env[DETACHED] ? (await import("./daemon/detach.ts")).tellParent : null;
  const code = await run(process.argv.slice(2), {
    env: process.env,
    cwd: process.cwd(),
    out: (text) => void out(text),
    err: (text) => {
      err(text);
      told?.(text);
    },
    columns: process.stderr.isTTY ? process.stderr.columns : null,
    ask: async (question) => (await import("./ask.ts")).ask(question),
  });
  // Timers and connections that the user's modules opened must not keep a finished command alive. What was printed
  // first leaves the process.
  out("", () => err("", () => process.exit(code)));
}

void main();
