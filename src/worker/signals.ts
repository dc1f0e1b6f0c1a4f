/**
 * Process signals of a worker that owns its process. Python: `celery/apps/worker.py`.
 *
 * | signal            | first       | again                 |
 * |-------------------|-------------|-----------------------|
 * | SIGTERM, SIGINT   | warm        | cold; third time: `force` |
 * | SIGQUIT           | cold        | `force`               |
 * | SIGTERM under `REMAP_SIGTERM=SIGQUIT` | cold | `force`   |
 *
 * A handler only says what is wanted: nothing is torn out of the middle of a fetch.
 */
import type { Logger } from "../base/logger.ts";
import type { Worker } from "./worker.ts";

/** What a process does about SIGTERM, SIGINT and SIGQUIT while its worker runs. */
export interface SignalOptions {
  readonly logger: Logger;
  /** The worker is told to end cold: tasks are given up. */
  onCold?(): void;
  /** The worker does not even end cold: leave the process. */
  force(): void;
  /** Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Installs the handlers; returns what removes them. */
export function handleSignals(worker: Worker, options: SignalOptions): () => void {
  const { logger } = options;
  const remapped = (options.env ?? process.env)["REMAP_SIGTERM"] === "SIGQUIT";
  /** How the worker is stopping. Written by `stop`. */
  let stopping: "no" | "warm" | "cold" = "no";
  const stop = (signal: NodeJS.Signals, wanted: "warm" | "cold"): void => {
    if (stopping === "cold") {
      options.force();
      return;
    }
    const how = stopping === "warm" ? "cold" : wanted;
    stopping = how;
    if (how === "cold") options.onCold?.();
    logger.warn({ signal, how }, "signal received: the worker stops");
    worker.stop({ how: how === "cold" ? "cold" : undefined, signal }).catch((err: unknown) => {
      logger.error({ err }, "the worker failed to stop");
    });
  };
  const handlers: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ["SIGTERM", () => stop("SIGTERM", remapped ? "cold" : "warm")],
    ["SIGINT", () => stop("SIGINT", "warm")],
    ["SIGQUIT", () => stop("SIGQUIT", "cold")],
  ];
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}
