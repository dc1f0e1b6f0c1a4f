import { Queue } from "bullmq";
import { produce } from "../../lib/produce.mjs";
import { now } from "../../lib/stamps.mjs";

const queue = new Queue("bench", { connection: { host: "127.0.0.1", port: Number(process.env.BENCH_PORT) } });
await queue.waitUntilReady();
await produce({
  noop: (i) => queue.add("bench.noop", { at: now(), i }),
  many: (from, count) =>
    queue.addBulk(
      Array.from({ length: count }, (_, i) => ({ name: "bench.noop", data: { at: now(), i: from + i } })),
    ),
  stamp: (at) => queue.add("bench.stamp", { at }),
  first: () => queue.add("bench.first", { at: now() }),
  close: () => queue.close(),
});
