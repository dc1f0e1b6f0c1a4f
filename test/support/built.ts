/** What the tests start as a process of its own runs from `dist/`: Node 20 cannot run TypeScript. */
import { fileURLToPath } from "node:url";

/** The repository's folder, with a slash at its end. */
export const root: string = fileURLToPath(new URL("../../", import.meta.url));

/** A file of the build: `built("worker/index.js")`. Vitest's global setup has built it. */
export function built(path: string): string {
  return `${root}dist/${path}`;
}

/** The command-line program: `spawn(process.execPath, [cli, "-A", module, "worker"])`. */
export const cli: string = built("cli/main.js");
