/**
 * Process signals of a worker that owns its process. Python: `celery/apps/worker.py`.
 *
 * | worker  | SIGTERM | SIGINT | SIGQUIT, or SIGTERM under `REMAP_SIGTERM=SIGQUIT` |
 * |---------|---------|--------|---------------------------------------------------|
 * | runs    | warm    | warm   | soft                                              |
 * | warm    | -       | soft   | soft                                              |
 * | soft    | -       | cold   | cold                                              |
 * | cold    | -       | `force` | `force`                                          |
 *
 * Soft is cold where no `worker_soft_shutdown_timeout` is set. SIGHUP: `onHangup`, else as SIGTERM.
 * A handler only says what is wanted: nothing is torn out of the middle of a fetch.
 */
import type { Logger } from "../base/logger.ts";
import type { StopKind, Worker } from "./worker.ts";

/** What a process does about signals while its worker runs. */
export interface SignalOptions {
  readonly logger: Logger;
  /** The worker is told to end cold by this signal: tasks are given up. */
  onCold?(signal: NodeJS.Signals): void;
  /** SIGHUP. Default: a warm stop, for its terminal is gone. */
  onHangup?(): void;
  /** The worker does not even end cold: leave the process. */
  force(): void;
  /** Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

type Next = StopKind | "force" | null;

/** By how the worker stops already: what a calm signal asks for, an interrupt, a hard one. */
const NEXT: Readonly<
  Record<StopKind | "no", { readonly calm: Next; readonly interrupt: Next; readonly hard: Next }>
> = {
  no: { calm: "warm", interrupt: "warm", hard: "soft" },
  warm: { calm: null, interrupt: "soft", hard: "soft" },
  soft: { calm: null, interrupt: "cold", hard: "cold" },
  cold: { calm: null, interrupt: "force", hard: "force" },
};

/** Installs the handlers; returns what removes them. */
export function handleSignals(worker: Worker, options: SignalOptions): () => void {
  const { logger } = options;
  const term = (options.env ?? process.env)["REMAP_SIGTERM"] === "SIGQUIT" ? "hard" : "calm";
  const heard = (signal: NodeJS.Signals, kind: "calm" | "interrupt" | "hard"): void => {
    const how = NEXT[worker.stopping ?? "no"][kind];
    if (how === "force") {
      options.force();
      return;
    }
    if (how === null) {
      logger.warn({ signal, how: worker.stopping }, "signal received: the worker is stopping already");
      return;
    }
    worker.stop({ how, signal }).catch((err: unknown) => {
      logger.error({ err }, "the worker failed to stop");
    });
    logger.warn({ signal, how: worker.stopping }, "signal received: the worker stops");
    if (worker.stopping === "cold") options.onCold?.(signal);
  };
  const handlers: readonly (readonly [NodeJS.Signals, () => void])[] = [
    ["SIGTERM", () => heard("SIGTERM", term)],
    ["SIGINT", () => heard("SIGINT", "interrupt")],
    ["SIGQUIT", () => heard("SIGQUIT", "hard")],
    ["SIGHUP", () => (options.onHangup ? options.onHangup() : heard("SIGHUP", "calm"))],
  ];
  for (const [signal, handler] of handlers) process.on(signal, handler);
  return () => {
    for (const [signal, handler] of handlers) process.off(signal, handler);
  };
}
