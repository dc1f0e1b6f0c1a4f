/** What a worker costs that has nothing to do. */
import path from "node:path";
import { treeOf, usage } from "../lib/process-tree.mjs";
import { countCommands } from "../lib/redis-server.mjs";
import { firstStamp, produce, withServer, withWorker } from "../lib/run-peer.mjs";
import { now } from "../lib/stamps.mjs";

const CONCURRENCY = 10;
/** What a start leaves behind is given back by then: garbage, and a worker's thread that has nothing to do. */
const SETTLE_MS = 25_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** `{ rssMB, cpuPercent, commandsPerSecond, commands }`; the commands are counted after the CPU, since counting costs some. */
export function idle({ peer, seconds }) {
  return withServer(peer, async ({ server, dir }) => {
    const file = path.join(dir, "stamps");
    return withWorker({ peer, server, concurrency: CONCURRENCY, out: file }, async (worker) => {
      await produce(peer, server, { mode: "one", count: 1 });
      await firstStamp({ worker, file, what: `starting ${peer.name}` });
      await pause(SETTLE_MS);
      const pids = treeOf(worker.pid);
      const startedAt = now();
      const before = usage(pids);
      await pause(seconds * 1000);
      const after = usage(pids);
      const cpuPercent = ((after.cpuSeconds - before.cpuSeconds) * 100_000) / (now() - startedAt);
      const counter = await countCommands(server);
      await pause(seconds * 1000);
      const { total, byName } = counter.read();
      counter.close();
      return {
        rssMB: after.rssBytes / 1e6,
        processes: after.processes,
        cpuPercent,
        commandsPerSecond: total / seconds,
        commands: byName,
      };
    });
  });
}
