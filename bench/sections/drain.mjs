/** How fast tasks that wait in the queue are run, results stored, and what that costs. Counted from 5 % to 100 %. */
import { treeOf, usage } from "../lib/process-tree.mjs";
import { countCommands, info, serverCpu } from "../lib/redis-server.mjs";
import { produce, until, withServer, withWorker } from "../lib/run-peer.mjs";
import { now } from "../lib/stamps.mjs";

const WARM_SHARE = 0.05;

async function sample(client, pids) {
  const at = now();
  const stats = await info(client, "stats");
  return {
    at,
    ...usage(pids),
    redisSeconds: await serverCpu(client),
    bytesIn: Number(stats.total_net_input_bytes),
    bytesOut: Number(stats.total_net_output_bytes),
  };
}

/** `{ perSecond, workerCpuUs, redisCpuUs, rssMB, bytesIn, bytesOut }`, costs per task. */
export function drain({ peer, concurrency, count }) {
  return withServer(peer, async ({ server, client }) => {
    await produce(peer, server, { mode: "fill", count });
    return withWorker({ peer, server, concurrency }, async (worker) => {
      const wait = { what: `draining ${peer.name} at c=${concurrency}`, worker, timeoutMs: 300_000 };
      const reached = async (share) => {
        const done = await peer.finished(client);
        return done >= count * share ? done : null;
      };
      const doneAtStart = await until(() => reached(WARM_SHARE), wait);
      const pids = treeOf(worker.pid);
      const begin = await sample(client, pids);
      await until(() => reached(1), wait);
      const end = await sample(client, pids);
      const tasks = count - doneAtStart;
      const per = (field, unit = 1) => ((end[field] - begin[field]) * unit) / tasks;
      return {
        perSecond: 1000 / per("at"),
        workerCpuUs: per("cpuSeconds", 1e6),
        redisCpuUs: per("redisSeconds", 1e6),
        bytesIn: per("bytesIn"),
        bytesOut: per("bytesOut"),
        rssMB: end.rssBytes / 1e6,
      };
    });
  });
}

/** Commands a task on both sides; with MONITOR, so nothing of it is timed. */
export function commandsPerTask({ peer, concurrency, count }) {
  return withServer(peer, async ({ server, client }) => {
    const sending = await countCommands(server);
    await produce(peer, server, { mode: "sequential", count });
    const sent = sending.read();
    sending.close();
    return withWorker({ peer, server, concurrency }, async (worker) => {
      const wait = { what: `counting the commands of ${peer.name}`, worker };
      const reached = async (share) => ((await peer.finished(client)) >= count * share ? true : null);
      // The commands of the start are not those of the tasks: counting begins with the first results.
      await until(() => reached(WARM_SHARE), { ...wait, everyMs: 1 });
      const running = await countCommands(server);
      const from = await peer.finished(client);
      const polled = running.read().total;
      let polls = 0;
      await until(
        async () => {
          polls += 1;
          return reached(1);
        },
        { ...wait, everyMs: 20 },
      );
      await new Promise((resolve) => setTimeout(resolve, 200));
      const ran = running.read();
      running.close();
      return {
        sent: sent.total / count,
        ran: (ran.total - polled - polls) / (count - from),
        sentByName: sent.byName,
        ranByName: ran.byName,
      };
    });
  });
}
