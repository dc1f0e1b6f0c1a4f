/**
 * What every transport must do, written from the contract (`src/transports/transport.ts`) and from kombu's behaviour.
 * `transport/harness.ts` has what an implementation brings.
 */
import { describe } from "vitest";
import { deadLetterTests } from "./transport/dead-letters.ts";
import { deliveryTests } from "./transport/delivery.ts";
import { Suite, type TransportBroker } from "./transport/harness.ts";
import { lifecycleTests, restartTests } from "./transport/lifecycle.ts";
import { limitTests } from "./transport/limits.ts";
import { loadTests } from "./transport/load.ts";
import { lossTests } from "./transport/losses.ts";
import { mailboxTests } from "./transport/mailbox.ts";
import { parkingTests } from "./transport/parking.ts";
import { pausedTests } from "./transport/paused.ts";
import { queueTests } from "./transport/queues.ts";
import { resultTests } from "./transport/results.ts";
import { routingTests } from "./transport/routing.ts";
import { settleTests } from "./transport/settle.ts";
import { uniqueTests } from "./transport/unique.ts";

export type { TransportBroker } from "./transport/harness.ts";

/** Runs the suite over one implementation. `capabilities` are those its transports must report. */
export function transportConformance(
  name: string,
  capabilities: TransportBroker["capabilities"],
  makeBroker: () => Promise<TransportBroker>,
): void {
  describe(`transport conformance: ${name}`, () => {
    const suite = new Suite(makeBroker);
    deliveryTests(suite);
    queueTests(suite);
    settleTests(suite);
    deadLetterTests(suite);
    routingTests(suite);
    lifecycleTests(suite);
    lossTests(suite);
    limitTests(suite);
    loadTests(suite);
    mailboxTests(suite);
    pausedTests(suite);
    uniqueTests(suite);
    if (capabilities.parks) parkingTests(suite);
    if (capabilities.storesResults) resultTests(suite);
    if (capabilities.durable) restartTests(suite);
  });
}
