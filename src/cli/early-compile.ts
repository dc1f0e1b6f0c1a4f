/**
 * A worker that gets a task now and then would run its first thousands of tasks in V8's interpreter: V8 compiles what has
 * run for long, and a message is short. Told to begin earlier, a task that comes after a pause starts about a tenth of a
 * millisecond sooner; a worker under load is at full speed sooner and no slower afterwards.
 */
/** Bytes of bytecode: V8 looks at a function after so many that it has run; it collects so many for one quick compilation. */
const FLAGS: readonly string[] = ["--interrupt-budget=3000", "--baseline-batch-compilation-threshold=500"];
/** The V8 in which this was measured, of Node 20. Later ones have a compiler more. */
const MEASURED = /^11\./;
const OWN_CHOICE = /interrupt.budget|baseline|sparkplug|jitless|no.opt/;

/** The start itself would only become slower: it runs once. */
const AFTER_START_MS = 1000;

/** Called by a process that is a worker and nothing else, when it is ready. */
export function compileEarlySoon(): void {
  const given = [...process.execArgv, process.env["NODE_OPTIONS"] ?? ""];
  const flags = earlyFlags(process.versions.v8, given);
  if (flags.length === 0) return;
  setTimeout(() => {
    void import("node:v8").then((v8) => {
      for (const flag of flags) v8.setFlagsFromString(flag);
    });
  }, AFTER_START_MS).unref();
}

/** None where the user has told Node himself when to compile. */
export function earlyFlags(v8: string, given: readonly string[]): readonly string[] {
  return MEASURED.test(v8) && !given.some((one) => OWN_CHOICE.test(one)) ? FLAGS : [];
}
