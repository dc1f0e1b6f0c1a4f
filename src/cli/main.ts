#!/usr/bin/env node
/** The program `petiole`. Everything is imported after the compile cache is on, where Node has one (22.1 and later). */
import * as nodeModule from "node:module";

const { enableCompileCache } = nodeModule as { readonly enableCompileCache?: () => unknown };
enableCompileCache?.();

async function main(): Promise<void> {
  const { run } = await import("./program.ts");
  process.exitCode = await run(process.argv.slice(2), {
    env: process.env,
    cwd: process.cwd(),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    ask: async (question) => (await import("./ask.ts")).ask(question),
  });
}

void main();
