/**
 * The contestants. Each one's producer and worker run in processes of their own; the harness only starts them and
 * watches the server from outside:
 *
 * - `producer(server, order)`: program that carries out one order and prints `{ seconds, cpuSeconds, count }`;
 * - `worker(server, options)`: program that runs the no-op task until it is told to end;
 * - `finished(client)`: how many tasks have a stored result, in one command of constant cost;
 * - `concurrencies`: of the drain, in the order of the table.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const root = file("../../");
/** Celery's results go to a database of their own: its size is the number of finished tasks. */
const celeryUrls = (server) => ({
  BENCH_BROKER: `redis://127.0.0.1:${server.port}/0`,
  BENCH_BACKEND: `redis://127.0.0.1:${server.port}/1`,
});
const program = (command, args, env) => ({
  command,
  args,
  options: { cwd: root, env: { ...process.env, ...env } },
});
const resultsInDb1 = (client) => client.dbsize();

/** A built tree of Petiole: this one, or that of another revision (bench/against.mjs). */
export const petioleAt = (tree, { name = "petiole", label = "Petiole", workerArgs = [] } = {}) => ({
  name,
  label,
  database: 1,
  queues: ["celery"],
  concurrencies: [1, 10, 100, 1000],
  producer: (server, order) =>
    program(
      process.execPath,
      [`${tree}bench/peers/petiole/producer.mjs`, JSON.stringify(order)],
      celeryUrls(server),
    ),
  worker: (server, { concurrency, out = "" }) =>
    program(
      process.execPath,
      [
        `${tree}dist/cli/main.js`,
        "-A",
        `${tree}bench/peers/petiole/tasks.mjs`,
        "worker",
        "-c",
        String(concurrency),
        ...workerArgs,
      ],
      { ...celeryUrls(server), BENCH_OUT: out },
    ),
  finished: resultsInDb1,
  missing: () => (existsSync(`${tree}dist/cli/main.js`) ? null : "dist/ is missing: npm run build"),
});
const petiole = petioleAt(root);
/** Beside Celery's prefork, at the same `-c`. */
export const petiolePrefork = petioleAt(root, { workerArgs: ["-P", "prefork"] });

const bullmq = {
  name: "bullmq",
  label: "BullMQ",
  database: 0,
  concurrencies: [1, 10, 100, 1000],
  producer: (server, order) =>
    program(process.execPath, [file("bullmq/producer.mjs"), JSON.stringify(order)], {
      BENCH_PORT: String(server.port),
    }),
  worker: (server, { concurrency, out = "" }) =>
    program(process.execPath, [file("bullmq/worker.mjs"), String(concurrency)], {
      BENCH_PORT: String(server.port),
      BENCH_OUT: out,
    }),
  finished: (client) => client.zcard("bull:bench:completed"),
  missing: () => null,
};

const celeryWith = (python) => ({
  name: "celery",
  label: "Celery prefork -c 2",
  database: 1,
  concurrencies: [2],
  producer: (server, order) =>
    program(python, [file("celery/producer.py"), JSON.stringify(order)], {
      ...celeryUrls(server),
      PYTHONDONTWRITEBYTECODE: "1",
    }),
  worker: (server, { out = "" }) =>
    program(
      python,
      [
        "-m",
        "celery",
        "--workdir",
        file("celery"),
        "-A",
        "tasks",
        "worker",
        "-P",
        "prefork",
        "-c",
        "2",
        "-l",
        "WARNING",
      ],
      // Root may run it: the bench is often run in a container. Pickle is off.
      { ...celeryUrls(server), BENCH_OUT: out, PYTHONDONTWRITEBYTECODE: "1", C_FORCE_ROOT: "1" },
    ),
  finished: resultsInDb1,
  missing: () => (existsSync(python) ? null : `${python} is missing: make test makes it, or give --python`),
});

/** All, by name. `python` is an interpreter that has Celery. */
export const peersWith = (python) => ({ petiole, bullmq, celery: celeryWith(python) });
