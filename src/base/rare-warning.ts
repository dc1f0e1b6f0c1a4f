/**
 * A warning that others can provoke: said once, and then at most once in each period with the number of those between.
 *
 * | state   | say                  | the period is over                       |
 * |---------|----------------------|------------------------------------------|
 * | quiet   | written -> counting  |                                          |
 * | counting| counted              | none: -> quiet; else the number is written, the next period begins |
 */
import type { Clock, Timer } from "./clock.ts";
import type { Logger } from "./logger.ts";

const PERIOD_MS = 60_000;

export class RareWarning {
  readonly #parts: { readonly clock: Clock; readonly logger: Logger; readonly message: string };
  #timer: Timer | null = null;
  #suppressed = 0;

  constructor(parts: { readonly clock: Clock; readonly logger: Logger; readonly message: string }) {
    this.#parts = parts;
  }

  say(fields: object): void {
    if (this.#timer !== null) {
      this.#suppressed += 1;
      return;
    }
    const { logger, message } = this.#parts;
    this.#arm();
    logger.warn(fields, message);
  }

  /** Tells what was counted. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#tell();
  }

  #arm(): void {
    this.#timer = this.#parts.clock.setTimer(PERIOD_MS, () => this.#over(), { unref: true });
  }

  #over(): void {
    this.#timer = null;
    if (this.#suppressed > 0) this.#arm();
    this.#tell();
  }

  #tell(): void {
    if (this.#suppressed === 0) return;
    const { logger, message } = this.#parts;
    logger.warn({ suppressed: this.#suppressed }, message);
    this.#suppressed = 0;
  }
}
