import { expect, test } from "vitest";
import { afterLoss, DEFAULT_LOSS_POLICY, lossesAfter } from "../../../src/transports/losses.ts";

const policy = { deliveryLimit: 14, redeliveryBackoffMs: 2000, redeliveryBackoffMaxMs: 600_000 };

test("the first loss waits for nothing, each later one twice as long, up to the most", () => {
  expect(afterLoss(1, policy)).toEqual({ to: "queue" });
  const delays = Array.from({ length: 12 }, (_, i) => {
    const next = afterLoss(i + 2, policy);
    return next.to === "parked" ? next.delayMs / 1000 : next.to;
  });
  expect(delays).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]);
  expect(afterLoss(14, policy)).toEqual({ to: "dead", reason: "its worker was lost 14 times while it ran" });
});

test("by default the third loss is the last, and without a back-off none waits", () => {
  expect([1, 2, 3].map((count) => afterLoss(count, DEFAULT_LOSS_POLICY).to)).toEqual([
    "queue",
    "parked",
    "dead",
  ]);
  expect(afterLoss(2, { ...DEFAULT_LOSS_POLICY, redeliveryBackoffMs: 0 })).toEqual({ to: "queue" });
});

test("a loss after the first counts only when the message had started", () => {
  expect([lossesAfter(0, false), lossesAfter(0, true)]).toEqual([1, 1]);
  expect([lossesAfter(1, false), lossesAfter(1, true)]).toEqual([1, 2]);
});
