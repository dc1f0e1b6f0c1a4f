import { silentLogger } from "../../src/base/logger.ts";
import type * as Threads from "../../src/pool/threads.ts";
import { built } from "../support/built.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { poolConformance } from "./pool.ts";

const entry = new URL("./pool-child.mjs", import.meta.url);

poolConformance("threads", { synchronous: false, stops: true, children: "threads" }, async (size) => {
  const { threadPool } = (await import(built("pool/threads.js"))) as typeof Threads;
  const clock = new VirtualClock();
  const pool = threadPool({
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
