/** The sending side of every signal: one emitter each. Python: `celery/signals.py`. */
import { Emitter } from "../base/emitter.ts";
import type { SignalEmitters } from "./internals.ts";
import type { SignalEvents } from "./signal-types.ts";

/** Every signal; that none is missing is checked by the compiler. */
const NAMES: { readonly [K in keyof SignalEvents]: true } = {
  beforeTaskPublish: true,
  afterTaskPublish: true,
  taskReceived: true,
  taskPrerun: true,
  taskPostrun: true,
  taskSuccess: true,
  taskFailure: true,
  taskRetry: true,
  taskRevoked: true,
  taskRejected: true,
  taskUnknown: true,
  taskInternalError: true,
  celerydInit: true,
  celerydAfterSetup: true,
  importModules: true,
  workerInit: true,
  workerBeforeCreateProcess: true,
  workerProcessInit: true,
  workerProcessShutdown: true,
  workerReady: true,
  workerShuttingDown: true,
  workerShutdown: true,
  heartbeatSent: true,
  beatInit: true,
  beatEmbeddedInit: true,
  setupLogging: true,
  afterSetupLogger: true,
  afterSetupTaskLogger: true,
};

/** Emitters with nobody connected. */
export function createEmitters(): SignalEmitters {
  return Object.freeze(
    Object.fromEntries(Object.keys(NAMES).map((name) => [name, new Emitter<never>()])),
  ) as unknown as SignalEmitters;
}
