/** What ends a program of this service at its start: what can be mended without reading code is told in one line. */
import { DatabaseUnavailable } from "./db/database.ts";

/** The message says what is wrong and what to do. */
export class StartError extends Error {}

/** `run` imports what reads variables: a wrong one is told as well. */
export async function start(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const isTold = error instanceof StartError || error instanceof DatabaseUnavailable;
    console.error(isTold ? error.message : error);
    process.exitCode = 1;
  }
}
