/** The sending side of every signal: one emitter each. Python: `celery/signals.py`. */
import { Emitter } from "../base/emitter.ts";
import type { Logger } from "../base/logger.ts";
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

/** Tells everybody who is connected to a signal; a handler that fails is logged. Nobody: nothing. */
export async function emitSignal<N extends keyof SignalEvents>(
  name: N,
  event: SignalEvents[N],
  to: {
    readonly emitters: SignalEmitters;
    readonly logger: Logger;
    /** What a handler may have asked for: a task's name, a node's name. */
    readonly sender?: string;
  },
): Promise<void> {
  const emitter = to.emitters[name] as Emitter<SignalEvents[N]>;
  if (!emitter.active) return;
  await emitter.emit(event, {
    sender: to.sender,
    onError: (err) => to.logger.error({ signal: name, err }, "a signal handler failed"),
  });
}
