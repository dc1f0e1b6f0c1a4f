/** `events --camera`: a function of the user's, called with what events have told. Python: `celery/events/snapshot.py`. */
import type { Celery } from "../../app/app.ts";
import { loadModule } from "../../app/loader.ts";
import { systemClock } from "../../base/clock.ts";
import { didYouMean } from "../../base/nearest.ts";
import { PetioleError } from "../../errors.ts";
import type { EventState } from "../../events/state.ts";
import { TokenBucket } from "../../worker/rate-limits.ts";

/** Takes a snapshot. */
export type Camera = (state: EventState, app: Celery) => unknown;

/** Of `module:export`, else the module's `camera`, its default export, or its only function. */
export async function loadCamera(spec: string, cwd: string): Promise<Camera> {
  const [, module = spec, name] = /^(.*[^:/\\]):([\w$]+)$/.exec(spec) ?? [];
  const exports = await loadModule(module, cwd);
  const functions = Object.keys(exports).filter((one) => typeof exports[one] === "function");
  const chosen =
    name ??
    ["camera", "default"].find((one) => functions.includes(one)) ??
    (functions.length === 1 ? functions[0] : undefined);
  const found = chosen === undefined ? undefined : exports[chosen];
  if (typeof found === "function") return found as Camera;
  const has = functions.length === 0 ? "it exports no function" : `its functions are ${functions.join(", ")}`;
  throw new PetioleError(
    "PET_USAGE",
    name === undefined
      ? `--camera ${spec}: the module has no camera (${has}): say which, as in --camera ${module}:take`
      : `--camera ${spec}: the module has no function ${name}${didYouMean(name, functions)} (${has})`,
  );
}

export interface ShootingOptions {
  readonly camera: Camera;
  /** Seconds. */
  readonly frequency: number;
  /** Snapshots a second at most; null: as many as `frequency` makes. The last one, at the end, does not count. */
  readonly maxRate: number | null;
  readonly signal: AbortSignal;
  onError(error: unknown): void;
}

/** Snapshots until the signal is aborted, and one at the end. One that takes longer than its turn is waited for. */
export async function shoot(app: Celery, options: ShootingOptions): Promise<void> {
  const { camera, frequency, signal } = options;
  const state = app.events.state();
  const receiver = app.events.receiver({ handlers: { "*": (event) => state.event(event) } });
  // Boxed: written in a callback, which the compiler does not follow.
  const turn: { running: Promise<void> | null } = { running: null };
  const shot = async (): Promise<void> => {
    try {
      await camera(state, app);
    } catch (error) {
      options.onError(error);
    }
  };
  const bucket = options.maxRate === null ? null : new TokenBucket(options.maxRate, systemClock);
  const tick = (): void => {
    if (turn.running !== null || bucket?.take() === false) return;
    turn.running = shot().finally(() => {
      turn.running = null;
    });
  };
  let timer: NodeJS.Timeout | null = null;
  try {
    await receiver.start(signal);
    timer = setInterval(tick, frequency * 1000);
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
  } finally {
    if (timer !== null) clearInterval(timer);
    await receiver.close();
  }
  await turn.running;
  await shot();
}
