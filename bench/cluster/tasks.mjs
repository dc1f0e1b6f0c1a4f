/** The tasks of the cluster run, under the same names as in `cluster_tasks.py`. */
import { Redis } from "ioredis";
import { Celery } from "petiole";

const record = new Redis(process.env.CLUSTER_BACKEND, { lazyConnect: true });

export const app = new Celery("cluster", {
  brokerUrl: process.env.CLUSTER_BROKER,
  resultBackend: process.env.CLUSTER_BACKEND,
});
export const add = app.task("cluster.add", { params: ["x", "y"] }, (x, y) => ["ts", x + y]);
/** What the winner of an election is to do. */
export const elected = app.task("cluster.elected", { params: ["id"] }, async (id) => {
  await record.hincrby("elected", id, 1);
});
