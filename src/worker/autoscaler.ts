/**
 * As many slots as there is work, between two bounds. Python: `celery/worker/autoscale.py`.
 *
 * | work (running and reserved)  | effect                                                    |
 * |------------------------------|-----------------------------------------------------------|
 * | more than slots              | grows at once, to the work or `max`                       |
 * | fewer than slots             | shrinks to the work or `min`, when no slot more was needed for `KEEP_MS` |
 */
import type { Clock, Timer } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Pool } from "../pool/pool.ts";
import { type AutoscaleRange, checkedRange } from "./options.ts";

export interface AutoscalerOptions {
  readonly range: AutoscaleRange;
  readonly pool: Pool;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Tasks that run or wait here to run. */
  work(): number;
}

const LOOK_MS = 1000;
/** A slot that was needed stays so long. Python: `AUTOSCALE_KEEPALIVE`. */
const KEEP_MS = 30_000;

export class Autoscaler {
  readonly #options: AutoscalerOptions;
  #range: AutoscaleRange;
  /** When all slots were needed last, monotonic ms. */
  #neededMs: number;
  #timer: Timer | null = null;

  constructor(options: AutoscalerOptions) {
    this.#options = options;
    this.#range = options.range;
    this.#neededMs = options.clock.monotonic();
  }

  start(): void {
    this.#timer = this.#options.clock.setTimer(
      LOOK_MS,
      () => {
        this.look();
        this.start();
      },
      { unref: true },
    );
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** Grows or shrinks, if it is time. Called when work has come, and once a second. */
  look(): void {
    const { clock, logger, pool } = this.#options;
    const { max, min } = this.#range;
    const nowMs = clock.monotonic();
    const wanted = Math.max(min, Math.min(this.#options.work(), max));
    const { size } = pool;
    if (wanted >= size) this.#neededMs = nowMs;
    else if (nowMs - this.#neededMs < KEEP_MS && size <= max) return;
    if (wanted === size) return;
    logger.info({ from: size, to: wanted }, wanted > size ? "the pool grows" : "the pool shrinks");
    void pool.resize(wanted);
  }

  /** Other bounds, from now on. @throws ImproperlyConfigured */
  update(range: AutoscaleRange): void {
    this.#range = checkedRange(range);
    this.look();
  }

  /** For `inspect stats`. */
  info(): { readonly max: number; readonly min: number; readonly current: number; readonly qty: number } {
    return { ...this.#range, current: this.#options.pool.size, qty: this.#options.work() };
  }
}
