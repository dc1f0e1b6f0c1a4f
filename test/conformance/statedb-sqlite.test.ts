import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { openStateDb } from "../../src/statedb/index.ts";
import type { SqliteStateDb } from "../../src/statedb/sqlite/index.ts";
import { sqliteRig } from "../support/sqlite-rig.ts";
import { type StateStore, stateDbConformance } from "./statedb.ts";

async function sqliteStore(): Promise<StateStore> {
  const rig = await sqliteRig();
  return {
    create: (place, overrides) =>
      openStateDb({
        url: rig.url,
        node: null,
        prefix: place,
        ttlSeconds: null,
        shared: true,
        clock: systemClock,
        logger: silentLogger,
        clientName: null,
        ...overrides,
      }),
    async passes(seconds) {
      rig
        .raw()
        .prepare("UPDATE petiole_revoked SET at = at - ?")
        .run(seconds * 1000);
    },
    crash: (db) => (db as SqliteStateDb).abandon(),
    restart: async () => {},
    stop: () => rig.stop(),
  };
}

stateDbConformance("sqlite", sqliteStore);
