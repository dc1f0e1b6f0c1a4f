/**
 * Modules whose loading waits for itself: Node ends such a process without a word. What is loading when nothing is left that
 * could go on is told to whoever waits for it.
 */
import { PetioleError } from "../errors.ts";

/** Its loading never ends. Those that wait for it pass it on. */
export class ModuleStalled extends PetioleError {
  constructor(message: string) {
    super("PET_MODULE_FAILED", message);
  }
}

interface Loading {
  /** For people. */
  readonly name: string;
  readonly discovered: boolean;
  fail(error: ModuleStalled): void;
}

/** The innermost comes last. */
const loading: Loading[] = [];

/** @param discovered - by `autodiscoverTasks`, of a module that may wait for it */
export async function unlessStalled<T>(
  { name, discovered }: { readonly name: string; readonly discovered: boolean },
  load: Promise<T>,
): Promise<T> {
  const one: Loading = { name, discovered, fail: () => {} };
  const stalled = new Promise<never>((_, reject) => {
    one.fail = reject;
  });
  loading.push(one);
  if (loading.length === 1) process.on("beforeExit", tellInnermost);
  try {
    return await Promise.race([load, stalled]);
  } finally {
    loading.splice(loading.indexOf(one), 1);
    if (loading.length === 0) process.off("beforeExit", tellInnermost);
  }
}

function tellInnermost(): void {
  const [one, outer] = loading.slice(-2).toReversed();
  // In a new turn of the event loop: there is one more.
  if (one !== undefined) setImmediate(() => one.fail(new ModuleStalled(reasonOf(one, outer))));
}

function reasonOf({ name, discovered }: Loading, outer: Loading | undefined): string {
  if (discovered) return `module ${name} never ends loading: ${circle(outer?.name)}`;
  return `module ${name} never ends loading: it, or a module that it imports, has a top-level await for what will not happen`;
}

/** @param outer - the module that calls `autodiscoverTasks`, where it is known */
export function circle(outer: string | undefined): string {
  const which = outer === undefined ? "a module that waits" : `${outer}, which waits`;
  return `it imports ${which} for it by "await app.autodiscoverTasks(…)" at its top level. Define its tasks with sharedTask(…) of petiole, without importing the app, or leave autodiscoverTasks out and name it in the setting include`;
}
