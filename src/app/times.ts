/** Points in time of a send, as the wire has them. */
import { EncodeError } from "../errors.ts";
import { parseIso, toIso } from "../protocol/iso8601.ts";
import type { Instant, Seconds } from "../task/sendable-types.ts";

/** What is needed to write an instant. */
export interface TimeContext {
  /** Wall clock, ms. */
  readonly nowMs: number;
  /** IANA name, or null for UTC: the settings `timezone` and `enableUtc`. Used for what is counted from now. */
  readonly zone: string | null;
}

function seconds(value: unknown, option: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new EncodeError(`option ${option} must be a finite number of seconds, not ${String(value)}`);
}

/** Text passes through as it is (without offset it means UTC); all else becomes UTC. */
function instantText(value: Instant, option: string): string {
  if (typeof value === "string") {
    try {
      parseIso(value);
    } catch (error) {
      throw new EncodeError(`option ${option}: ${(error as Error).message}`, { cause: error });
    }
    return value;
  }
  const ms = value instanceof Date ? value.getTime() : value.epochMilliseconds;
  if (typeof ms !== "number" || !Number.isFinite(ms))
    throw new EncodeError(`option ${option} is not a valid point in time`);
  return toIso(ms);
}

/** The header `eta`; null: at once. A countdown wins over an eta, as in Celery; 0 is none. */
export function etaText(
  countdown: Seconds | undefined,
  eta: Instant | undefined,
  context: TimeContext,
): string | null {
  if (countdown !== undefined && countdown !== null && countdown !== 0)
    return toIso(context.nowMs + seconds(countdown, "countdown") * 1000, context.zone);
  return eta === undefined || eta === null ? null : instantText(eta, "eta");
}

/** The header `expires` and the property `expiration` (ms, 0 when it lies in the past). */
export function expiresText(
  expires: Seconds | Instant,
  context: TimeContext,
): { readonly text: string; readonly leftMs: number } {
  if (typeof expires === "number") {
    const leftMs = seconds(expires, "expires") * 1000;
    return { text: toIso(context.nowMs + leftMs, context.zone), leftMs: Math.max(0, Math.trunc(leftMs)) };
  }
  const text = instantText(expires, "expires");
  return { text, leftMs: Math.max(0, Math.trunc(parseIso(text) - context.nowMs)) };
}
