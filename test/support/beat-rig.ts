/** A scheduler on a clock that the test moves, whose sends are noted, with failures on demand. */
import { type AppInternals, internalsOf } from "../../src/app/internals.ts";
import { type Logger, silentLogger } from "../../src/base/logger.ts";
import { BeatService } from "../../src/beat/service.ts";
import { OperationalError } from "../../src/errors.ts";
import { type BeatEntry, Celery, type CeleryOptions } from "../../src/index.ts";
import { MemoryScheduleStore } from "../../src/schedules/stores/memory.ts";
import type { ScheduleStore } from "../../src/schedules/stores/store.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const START: number = Date.UTC(2026, 0, 1);
export const SECOND = 1000;
export const HOUR = 3_600_000;

interface Sent {
  readonly entry: string;
  readonly id: string;
  readonly atMs: number;
}

export class BeatRig {
  readonly clock: VirtualClock = new VirtualClock(START);
  readonly sent: Sent[] = [];
  readonly attempts: Sent[] = [];
  readonly log: string[] = [];
  readonly logger: Logger;
  /** Throw to fail. */
  broker: () => void = () => {};
  /** Ids of tasks that have not ended. */
  readonly running: Set<string> = new Set();
  readonly #services: BeatService[] = [];

  constructor() {
    const note = (_fields: object, message: string): void => void this.log.push(message);
    this.logger = { ...silentLogger, info: note, warn: note, error: note };
  }

  async beat(
    schedule: Readonly<Record<string, BeatEntry>>,
    more: { store?: ScheduleStore; settings?: CeleryOptions } = {},
  ): Promise<BeatService> {
    const celery = new Celery("shop", {
      resultBackend: "memory://",
      ...more.settings,
      beatSchedule: schedule,
    });
    const { attempts, sent, clock, logger } = this;
    const asyncResult = (id: string): unknown => ({
      status: async () => ({ ready: !this.running.has(id) }),
    });
    const app = Object.create(internalsOf(celery), {
      app: { value: { name: "shop", asyncResult } },
      clock: { value: clock },
      registry: { value: internalsOf(celery).registry },
      sendPeriodic: {
        value: async ({ name }: { name: string }, { id }: { id: string }): Promise<void> => {
          const one = { entry: name, id, atMs: clock.now() };
          attempts.push(one);
          this.broker();
          sent.push(one);
        },
      },
    }) as AppInternals;
    const service = new BeatService({
      app,
      store: more.store ?? new MemoryScheduleStore(),
      logger,
      maxIntervalMs: 300_000,
      embedded: false,
    });
    this.#services.push(service);
    await service.start();
    return service;
  }

  /** In steps, so that what was sent is answered meanwhile. */
  async advance(ms: number, step = 250): Promise<void> {
    for (let left = ms; left > 0; left -= step) {
      this.clock.advance(Math.min(step, left));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  get seconds(): number[] {
    return this.sent.map(({ atMs }) => (atMs - START) / SECOND);
  }

  async end(): Promise<void> {
    await Promise.all(this.#services.map((one) => one.stop()));
  }
}

/** As a broker: it cannot be reached. */
export const away = (): never => {
  throw new OperationalError("the broker is away", { outcome: "not sent" });
};
