/** What every result backend must do, written from the contract (`src/backends/backend.ts`) and from Celery's behaviour. */
import { describe } from "vitest";
import { chordTests } from "./backend/chords.ts";
import { type BackendStore, BackendSuite } from "./backend/harness.ts";
import { outageTests } from "./backend/outage.ts";
import { storingTests } from "./backend/storing.ts";
import { watchingTests } from "./backend/watching.ts";

export type { BackendStore } from "./backend/harness.ts";

/** Runs the suite over one implementation. `durable`: its store survives a restart of the server. */
export function backendConformance(
  name: string,
  traits: { readonly durable: boolean },
  makeStore: () => Promise<BackendStore>,
): void {
  describe(`backend conformance: ${name}`, () => {
    const suite = new BackendSuite(makeStore);
    storingTests(suite);
    chordTests(suite);
    watchingTests(suite);
    if (traits.durable) outageTests(suite);
  });
}
