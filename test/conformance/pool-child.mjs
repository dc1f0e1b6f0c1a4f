// A child of the pools' suite: a process, or a thread.
import { isMainThread, parentPort } from "node:worker_threads";
import { processChannel, threadChannel } from "../../dist/pool/channels.js";
import { serveJobs } from "../../dist/pool/child-loop.js";
import { execute } from "./pool-functions.mjs";

const channel = isMainThread ? processChannel() : threadChannel(parentPort);
if (isMainThread) process.on("disconnect", () => process.exit(1));

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };
serveJobs(channel, async (init) => {
  if (init.fails) throw new Error(init.fails);
  if (init.dies) process.exit(init.dies);
  return {
    execute,
    logger: silent,
    reportMemory: init.reportMemory === true,
    onStop: async () => process.exit(0),
  };
});
