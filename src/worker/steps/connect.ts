/**
 * Connecting at start-up, again and again while the server is away: a worker may be started before its broker.
 * Settings `broker_connection_retry(_on_startup)`, `broker_connection_max_retries`. Python: `Consumer.ensure_connected`.
 */
import { BackendError, OperationalError } from "../../errors.ts";
import type { WorkerContext } from "../context.ts";

/** What is connected: a transport or a backend. */
interface Connectable {
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
}

/** Pauses as Celery's: 2 s, 4 s, … 30 s. */
const STEP_MS = 2_000;
const LONGEST_MS = 30_000;

/**
 * Opens and starts; each attempt with an object of its own.
 *
 * @throws the last error, when trying again is of no use, not wanted, or was tried often enough
 */
export async function connect<T extends Connectable>(
  context: WorkerContext,
  signal: AbortSignal,
  what: { readonly name: string; readonly open: () => Promise<T> },
): Promise<T> {
  const { conf, clock } = context.app;
  const retry = conf.brokerConnectionRetryOnStartup ?? conf.brokerConnectionRetry ?? true;
  const most = conf.brokerConnectionMaxRetries || Number.POSITIVE_INFINITY;
  for (let attempt = 1; ; attempt += 1) {
    const opened = await what.open();
    try {
      await opened.start(signal);
      return opened;
    } catch (err) {
      await opened.stop();
      if (!retry || attempt > most || signal.aborted || !mayPass(err)) throw err;
      const waitMs = Math.min(attempt * STEP_MS, LONGEST_MS);
      context.logger.error(
        { server: what.name, attempt, most, waitSeconds: waitMs / 1000, reason: (err as Error).message },
        "cannot connect: trying again",
      );
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(waitMs, resolve);
        signal.addEventListener("abort", () => (timer.cancel(), resolve()), { once: true });
      });
      signal.throwIfAborted();
    }
  }
}

/** Whether the server may be there in a moment. One that answers and refuses will refuse again. */
function mayPass(error: unknown): boolean {
  const known = error instanceof BackendError ? (error.cause ?? error) : error;
  if (known instanceof OperationalError) return known.code !== "PET_BROKER_REFUSED";
  return known instanceof BackendError && known.code === "PET_BACKEND";
}
