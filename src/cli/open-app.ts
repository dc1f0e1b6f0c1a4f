/** The app that a command works with. */
import { resolve } from "node:path";
import { Celery } from "../app/app.ts";
import { resolveApp } from "../app/loader.ts";
import { PetioleError } from "../errors.ts";
import type { GlobalOptions, Invocation } from "./io.ts";

/**
 * Changes to `--workdir`, loads the app and lays the URLs and settings of the command line over it.
 *
 * @param needsModule - false: without `-A` an app without tasks will do, on the URLs given
 */
export async function openApp(
  { globals, io }: Pick<Invocation, "globals" | "io">,
  { needsModule }: { readonly needsModule: boolean },
): Promise<Celery> {
  const cwd = enterWorkdir(globals, io.cwd);
  // As Celery does: the environment wins over what the app's code says.
  if (globals.broker !== null) process.env["CELERY_BROKER_URL"] = globals.broker;
  if (globals.resultBackend !== null) process.env["CELERY_RESULT_BACKEND"] = globals.resultBackend;
  if (globals.app === null && needsModule) {
    throw new PetioleError(
      "PET_APP_NOT_FOUND",
      "no app is given: say which module has it, as in petiole -A app.ts worker, or set the environment variable CELERY_APP",
    );
  }
  const app = globals.app === null ? new Celery("petiole") : await load(globals.app, globals.appFrom, cwd);
  if (globals.config !== null) app.configFromObject(globals.config);
  return app;
}

/** Changes to `--workdir`; where commands are from now on. */
export function enterWorkdir({ workdir }: GlobalOptions, cwd: string): string {
  if (workdir === null) return cwd;
  const folder = resolve(cwd, workdir);
  try {
    process.chdir(folder);
  } catch (error) {
    throw new PetioleError("PET_USAGE", `the folder of --workdir, ${folder}, cannot be entered`, {
      cause: error,
    });
  }
  return folder;
}

async function load(spec: string, variable: string | null, cwd: string): Promise<Celery> {
  try {
    return await resolveApp(spec, cwd);
  } catch (error) {
    if (variable === null || !(error instanceof PetioleError)) throw error;
    throw new PetioleError(
      error.code,
      `${error.message} (the module ${JSON.stringify(spec)} is that of the environment variable ${variable}; -A wins over it)`,
      { cause: error.cause },
    );
  }
}
