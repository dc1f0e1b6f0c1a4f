#!/usr/bin/env node
/** The program `petiole`. Everything is imported after the compile cache is on, where Node has one (22.1 and later). */
import { lstatSync, mkdirSync } from "node:fs";
import * as nodeModule from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { enableCompileCache } = nodeModule as { readonly enableCompileCache?: (folder?: string) => unknown };

/**
 * A start takes a third less time with it. What is in its folder is run: it is the user's alone, not the one below /tmp that
 * Node would take, which anybody may have made before. Without a folder there is no cache.
 */
function cacheCompiled(enable: (folder?: string) => unknown): void {
  const { NODE_COMPILE_CACHE, NODE_DISABLE_COMPILE_CACHE } = process.env;
  if (NODE_COMPILE_CACHE || NODE_DISABLE_COMPILE_CACHE) return;
  const uid = process.getuid?.();
  // Windows has a folder for each user.
  if (uid === undefined) return void enable();
  const folder = join(tmpdir(), `petiole-compile-cache-${uid}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const found = lstatSync(folder);
    if (found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0) enable(folder);
  } catch {
    // Nothing can be written there, or Node was told to write nothing.
  }
}
if (enableCompileCache !== undefined) cacheCompiled(enableCompileCache);

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
