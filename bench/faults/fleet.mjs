/** Broker, record, producer and workers of a fault run, and what is left of them at the end. */
import { fileURLToPath } from "node:url";
import { endAll, start } from "../lib/process-tree.mjs";
import { RedisServer } from "../lib/redis-server.mjs";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const QUEUES = ["celery", "probe"];
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export class Fleet {
  workers = [];
  #started = 0;
  #nodes = new Set();

  /** `tasks`: the module of the workers and the producer; `words`: further ones of each worker's command line. */
  static async open({ seed, brokerArgs, concurrency = 8, tasks = "tasks.mjs", words = [], env = {} }) {
    const fleet = new Fleet();
    fleet.seed = seed;
    fleet.concurrency = concurrency;
    fleet.tasks = file(tasks);
    fleet.words = words;
    fleet.broker = await RedisServer.start({ args: brokerArgs });
    fleet.recordServer = await RedisServer.start();
    fleet.record = fleet.recordServer.client();
    fleet.env = {
      ...process.env,
      FAULTS_BROKER: `redis://127.0.0.1:${fleet.broker.port}/0`,
      FAULTS_BACKEND: `redis://127.0.0.1:${fleet.broker.port}/1`,
      FAULTS_RECORD: `redis://127.0.0.1:${fleet.recordServer.port}/0`,
      FAULTS_SEED: String(seed),
      FAULTS_TASKS: fleet.tasks,
      ...env,
    };
    fleet.reconnect();
    return fleet;
  }

  /** New clients to the broker: after a restart the old ones may still wait for their next try. */
  reconnect() {
    this.client?.disconnect();
    this.results?.disconnect();
    this.client = this.broker.client();
    this.results = this.broker.client();
    void this.results.select(1).catch(() => {});
  }

  /** Starts one worker and waits until it has fetched: only then are its tags known. One at a time. */
  async addWorker() {
    this.#started += 1;
    const number = this.#started;
    const worker = start(
      process.execPath,
      [
        file("../../dist/cli/main.js"),
        "-A",
        this.tasks,
        "worker",
        ...this.words,
        "-c",
        String(this.concurrency),
        "-Q",
        QUEUES.join(","),
        "-n",
        `w${number}@faults`,
      ],
      { cwd: file("../../"), env: this.env },
    );
    const deadline = Date.now() + 30_000;
    for (;;) {
      const fresh = (await this.#nodesNow()).filter((node) => !this.#nodes.has(node));
      if (fresh.length > 0) {
        for (const node of fresh) this.#nodes.add(node);
        // Node ids in its tags (16 hex digits each) tell its messages from those of others.
        const added = { process: worker, number, nodes: fresh };
        this.workers.push(added);
        return added;
      }
      if (!worker.running) throw new Error(`worker ${number} ended: ${worker.errors().slice(-2000)}`);
      if (Date.now() > deadline)
        throw new Error(`worker ${number} fetched nothing within 30 s: ${worker.errors().slice(-2000)}`);
      await pause(20);
    }
  }

  async #nodesNow() {
    const keys = [];
    let cursor = "0";
    do {
      const [next, found] = await this.client.scan(cursor, "MATCH", "unacked_fence:*", "COUNT", 1000);
      cursor = next;
      keys.push(...found);
    } while (cursor !== "0");
    return keys.map((key) => key.slice("unacked_fence:".length));
  }

  startProducer() {
    const producer = start(process.execPath, [file("producer.mjs")], { cwd: file("../../"), env: this.env });
    this.producer = producer;
    return producer;
  }

  /** Ids that the broker has confirmed, so far. */
  accepted() {
    const out = this.producer.output();
    return out
      .slice(0, out.lastIndexOf("\n") + 1)
      .split("\n")
      .filter((line) => line !== "");
  }

  /** What became of the sends that failed: `id outcome message`. Its other lines are the client's log. */
  refused() {
    return this.producer
      .errors()
      .split("\n")
      .filter((line) => line.startsWith("t-"));
  }

  /** Ids of the messages that these nodes hold. */
  async heldBy(nodes) {
    const held = [];
    for (const [tag, value] of Object.entries(await this.client.hgetall("unacked"))) {
      const node = /^ts1:(?:p:\d+:)?([0-9a-f]+):/.exec(tag)?.[1];
      if (node === undefined || !nodes.includes(node)) continue;
      held.push(idIn(value));
    }
    return held;
  }

  /** What must be nothing when all is done. */
  async leftovers() {
    const [unacked, index, lease, ...lengths] = await Promise.all([
      this.client.hlen("unacked"),
      this.client.zcard("unacked_index"),
      this.client.zcard("unacked_lease"),
      ...QUEUES.flatMap((queue) =>
        ["", "\x06\x163", "\x06\x166", "\x06\x169"].map((step) => this.client.llen(queue + step)),
      ),
      ...QUEUES.map((queue) => this.client.llen(`${queue}.dead`)),
    ]);
    const dead = lengths.slice(-QUEUES.length).reduce((sum, length) => sum + length, 0);
    const queued = lengths.slice(0, -QUEUES.length).reduce((sum, length) => sum + length, 0);
    return { queued, unacked, index, lease, dead };
  }

  /** Waits until every accepted task has ended and nothing is left over; then what came of them. */
  async settle({ timeoutMs }) {
    const deadline = Date.now() + timeoutMs;
    const accepted = this.accepted();
    for (;;) {
      const ends = await this.record.hgetall("ends");
      const open = accepted.filter((id) => !ends[id]);
      const left = await this.leftovers();
      const idle = left.queued + left.unacked + left.index + left.lease === 0;
      if ((open.length === 0 && idle) || Date.now() > deadline) return { accepted, ends, open, left };
      await pause(200);
    }
  }

  /** What is stored of those of these ids that have succeeded. */
  async storedResults(ids) {
    const stored = new Map();
    for (let from = 0; from < ids.length; from += 500) {
      const part = ids.slice(from, from + 500);
      const values = await this.results.mget(part.map((id) => `celery-task-meta-${id}`));
      part.forEach((id, i) => {
        const meta = values[i] === null ? null : JSON.parse(values[i]);
        if (meta?.status === "SUCCESS") stored.set(id, meta.result);
      });
    }
    return stored;
  }

  /** Of the accepted ids, those without a stored SUCCESS. */
  async withoutResult(ids) {
    const stored = await this.storedResults(ids);
    return ids.filter((id) => !stored.has(id));
  }

  async close() {
    endAll();
    this.client.disconnect();
    this.results.disconnect();
    this.record.disconnect();
    await this.broker.stop();
    await this.recordServer.stop();
  }
}

/** Task id of kombu's `[message, exchange, routing key]`. */
function idIn(value) {
  const [message] = JSON.parse(value);
  return message.headers.id;
}
