import { Worker } from "bullmq";
import { stamp, stampNow } from "../../lib/stamps.mjs";

/** Finished jobs are kept, which is BullMQ's default: the counterpart of a stored result. */
const worker = new Worker(
  "bench",
  async (job) => {
    if (job.name === "bench.stamp") stamp(job.data.at);
    else if (job.name === "bench.first") stampNow(job.data.at);
    return null;
  },
  {
    connection: { host: "127.0.0.1", port: Number(process.env.BENCH_PORT) },
    concurrency: Number(process.argv[2]),
  },
);
worker.on("error", (error) => console.error(error.message));
process.once("SIGTERM", () => void worker.close(true).then(() => process.exit(0)));
