import { silentLogger } from "../../src/base/logger.ts";
import type * as Prefork from "../../src/pool/prefork.ts";
import { built } from "../support/built.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { poolConformance } from "./pool.ts";

const entry = new URL("./pool-child.mjs", import.meta.url);

poolConformance("prefork", { synchronous: false, stops: true, children: "processes" }, async (size) => {
  const { preforkPool } = (await import(built("pool/prefork.js"))) as typeof Prefork;
  const clock = new VirtualClock();
  const pool = preforkPool({
    entry,
    size,
    init: {},
    clock,
    logger: silentLogger,
    maxTasksPerChild: null,
    maxMemoryPerChildKib: null,
    timeouts: [0, 0],
    startTimeoutMs: 60_000,
  });
  return { pool, advance: (ms) => clock.advance(ms), close: async () => {} };
});
