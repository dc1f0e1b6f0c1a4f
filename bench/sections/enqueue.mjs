/** How fast one process sends. */
import { info, serverCpu } from "../lib/redis-server.mjs";
import { produce, withServer } from "../lib/run-peer.mjs";

const usedMemory = async (client) => Number((await info(client, "memory")).used_memory);

/** `{ perSecond, clientCpuUs, redisCpuUs, bytesQueued }`, costs per task. */
export function enqueue({ peer, mode, count, warmup }) {
  return withServer(peer, async ({ server, client }) => {
    const cpu = await serverCpu(client);
    const memory = await usedMemory(client);
    const told = await produce(peer, server, { mode, count, warmup });
    const all = count + warmup;
    return {
      perSecond: count / told.seconds,
      clientCpuUs: (told.cpuSeconds * 1e6) / count,
      redisCpuUs: (((await serverCpu(client)) - cpu) * 1e6) / all,
      bytesQueued: ((await usedMemory(client)) - memory) / all,
    };
  });
}
