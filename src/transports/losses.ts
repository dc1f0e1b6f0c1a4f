/**
 * What becomes of a message whose holder was lost: its worker died, or the process that ran it.
 *
 * | losses         | what happens |
 * |----------------|--------------|
 * | 1              | front of its queue |
 * | 2 to limit - 1 | parked with a back-off that doubles, then front of its queue |
 * | limit          | dead list of its queue, and the worker stores a failure |
 *
 * The first loss counts whether or not the message had started: nobody knows. A later one only when its start was recorded, so
 * that what only waited in a worker's memory is never punished.
 */
export interface LossPolicy {
  /** `delivery_limit`. */
  readonly deliveryLimit: number;
  /** `redelivery_backoff`: of the second loss. */
  readonly redeliveryBackoffMs: number;
  /** `redelivery_backoff_max`. */
  readonly redeliveryBackoffMaxMs: number;
}

export const DEFAULT_LOSS_POLICY: LossPolicy = {
  deliveryLimit: 3,
  redeliveryBackoffMs: 2000,
  redeliveryBackoffMaxMs: 600_000,
};

export type AfterLoss =
  | { readonly to: "queue" }
  | { readonly to: "parked"; readonly delayMs: number }
  | { readonly to: "dead"; readonly reason: string };

/** Losses including this one. */
export function lossesAfter(before: number, started: boolean): number {
  return before === 0 || started ? before + 1 : before;
}

export function afterLoss(count: number, policy: LossPolicy): AfterLoss {
  const { deliveryLimit, redeliveryBackoffMs, redeliveryBackoffMaxMs } = policy;
  if (count >= deliveryLimit) {
    return { to: "dead", reason: `its worker was lost ${count} times while it ran` };
  }
  const delayMs = Math.min(redeliveryBackoffMaxMs, redeliveryBackoffMs * 2 ** (count - 2));
  return count < 2 || delayMs <= 0 ? { to: "queue" } : { to: "parked", delayMs };
}
