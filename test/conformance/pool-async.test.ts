import { silentLogger } from "../../src/base/logger.ts";
import type * as Async from "../../src/pool/async.ts";
import type { Execute } from "../../src/protocol/job.ts";
import { built } from "../support/built.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { poolConformance } from "./pool.ts";

const functions = new URL("./pool-functions.mjs", import.meta.url).href;

poolConformance("async", { synchronous: true, stops: false, children: null }, async (size) => {
  const { AsyncPool } = (await import(built("pool/async.js"))) as typeof Async;
  const { execute } = (await import(functions)) as { readonly execute: Execute };
  const clock = new VirtualClock();
  const pool = new AsyncPool({ size, execute, clock, logger: silentLogger });
  return { pool, advance: (ms) => clock.advance(ms), close: async () => {} };
});
