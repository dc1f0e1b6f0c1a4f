/**
 * What a running task with `storeLogs` has logged: its last lines, stored each second while there are new ones and once
 * more at its end, before its result. Best effort: a task neither fails nor waits long for its log.
 */
import type { ResultBackend } from "../backends/backend.ts";
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";

const LINES_AT_MOST = 1_000;
/** UTF-16 units, of all lines. */
const UNITS_AT_MOST = 256 * 1024;
const STORE_EVERY_MS = 1_000;
/** A result does not wait longer for its log. */
const STORE_AT_MOST_MS = 2_000;

export interface KeptLogParts {
  readonly id: string;
  readonly backend: ResultBackend;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class KeptLog {
  readonly #parts: KeptLogParts;
  /** The oldest first. */
  readonly #lines: string[] = [];
  #units = 0;
  #timer: Timer | null = null;
  /** The store that is under way; they follow each other. */
  #storing: Promise<void> = Promise.resolve();

  constructor(parts: KeptLogParts) {
    this.#parts = parts;
  }

  add(line: string): void {
    this.#lines.push(line);
    this.#units += line.length + 1;
    while (this.#lines.length > LINES_AT_MOST || (this.#units > UNITS_AT_MOST && this.#lines.length > 1)) {
      this.#units -= (this.#lines.shift()?.length ?? 0) + 1;
    }
    this.#timer ??= this.#parts.clock.setTimer(STORE_EVERY_MS, () => void this.#store(), { unref: true });
  }

  /** Stores what is new; never rejects. */
  end(): Promise<void> {
    return this.#timer === null ? this.#storing : this.#store();
  }

  #store(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
    const { id, backend, logger } = this.#parts;
    this.#storing = this.#storing
      .then(() => backend.storeLogs(id, this.#lines.join("\n"), AbortSignal.timeout(STORE_AT_MOST_MS)))
      .catch((err: unknown) => logger.warn({ id, err }, "the log of a task could not be stored"));
    return this.#storing;
  }
}
