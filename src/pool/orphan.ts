/** A child must not outlive its parent: see `orphan-thread.ts`. */
import { Worker } from "node:worker_threads";

/** The descriptor in a child process of a pipe whose other end the parent holds. */
export const PARENT_FD = 4;

/** To be called once in a child process. */
export function endWithParent(): void {
  const here = import.meta.url;
  // Node 20 cannot start a thread from TypeScript: tests that run from the sources start the build's.
  const file = here.endsWith(".ts") ? "../../dist/pool/orphan-thread.js" : "./orphan-thread.js";
  const thread = new Worker(new URL(file, here), {
    name: "petiole-orphan",
    workerData: PARENT_FD,
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  thread.on("error", () => {});
  thread.unref();
}
