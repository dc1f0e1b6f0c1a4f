import { afterCommit } from "../../app/on-commit.ts";
import type { Logger } from "../../base/logger.ts";
import { stderrLogger } from "../../base/stderr-logger.ts";

export interface OnCommitOptions {
  /** false: `transaction` rejects with its error, after the others have run. Default: true, its error is logged. */
  readonly robust?: boolean | undefined;
  /** Hears of its error. Default: standard error. */
  readonly logger?: Logger | undefined;
}

/** Runs a function after the commit of the transaction around it; at once where there is none. Dropped with a rollback. */
export function onCommit(fn: () => unknown, options: OnCommitOptions = {}): void {
  const logger = options.logger ?? stderrLogger;
  afterCommit({
    run: async () => fn(),
    robust: options.robust !== false,
    failed: (err) => logger.error({ err }, "a function that waited for a commit failed"),
  });
}
