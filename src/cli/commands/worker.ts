/** `petiole worker`: runs tasks until it is told to stop. Python: `celery/bin/worker.py`. */
import { PetioleError } from "../../errors.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { openApp } from "../open-app.ts";

export async function worker(invocation: Invocation): Promise<ExitCode> {
  await openApp(invocation, { needsModule: true });
  throw new PetioleError("PET_UNSUPPORTED", "this build has no worker");
}
