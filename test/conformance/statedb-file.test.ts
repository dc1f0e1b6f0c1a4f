import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../src/base/logger.ts";
import { openStateDb } from "../../src/statedb/index.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { type StateStore, stateDbConformance } from "./statedb.ts";

async function fileStore(): Promise<StateStore> {
  const dir = mkdtempSync(join(process.env["PETIOLE_TEST_DIR"] ?? tmpdir(), "statedb-"));
  const clock = new VirtualClock(1_764_500_000_000);
  const pathOf = (place: string): string => join(dir, `${place}.state`);
  return {
    create: (place, overrides) =>
      openStateDb({
        url: pathOf(place),
        node: null,
        prefix: "",
        ttlSeconds: null,
        shared: true,
        clock,
        logger: silentLogger,
        clientName: null,
        ...overrides,
      }),
    passes: async (seconds) => clock.advance(seconds * 1000),
    // The lock's process lives on: this one.
    crash: async (db) => rmSync(`${db.location}.lock`, { force: true }),
    restart: async () => {},
    stop: async () => rmSync(dir, { recursive: true, force: true }),
  };
}

stateDbConformance("file", fileStore);
