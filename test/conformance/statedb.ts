/** What every state DB must do, written from the contract (`src/statedb/state-db.ts`). */
import { describe } from "vitest";
import { type StateStore, StateSuite } from "./statedb/harness.ts";
import { keepingTests } from "./statedb/keeping.ts";
import { modelTests } from "./statedb/model.ts";

export type { StateStore } from "./statedb/harness.ts";

/** Runs the suite over one implementation. */
export function stateDbConformance(name: string, makeStore: () => Promise<StateStore>): void {
  describe(`state DB conformance: ${name}`, () => {
    const suite = new StateSuite(makeStore);
    keepingTests(suite);
    modelTests(suite);
  });
}
