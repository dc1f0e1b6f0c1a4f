/** Worker processes that run `demo.wrap`, note each run, and are killed while they hold messages. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { Celery } from "petiole";
import { silentLogger } from "../../src/base/logger.ts";
import { built, cli, root } from "./built.ts";
import { eventually } from "./eventually.ts";
import { trackProcess } from "./left-overs.ts";
import { type RedisServer, startRedis } from "./redis.ts";

const FENCE = "unacked_fence:";

/** One start of a task. */
export interface Run {
  readonly atMs: number;
  readonly label: string;
  readonly id: string;
  readonly rootId: string;
  readonly parentId: string | null;
  readonly redelivered: boolean;
}

interface Member {
  readonly child: ChildProcess;
  /** In the tags of what it holds. */
  readonly nodes: readonly string[];
}

export class CanvasFleet {
  readonly redis: RedisServer;
  /** A client. */
  readonly app: Celery;
  readonly broker: Redis;
  readonly results: Redis;
  readonly #record: Redis;
  readonly #dir: string;
  readonly #known = new Set<string>();
  #workers: Member[] = [];
  readonly #size: number;
  #started = 0;

  private constructor(redis: RedisServer, size: number) {
    this.redis = redis;
    this.#size = size;
    this.app = new Celery("model", {
      brokerUrl: `${redis.url}/0`,
      resultBackend: `${redis.url}/1`,
      // A busy machine is no broker that is away.
      taskPublishRetryPolicy: { timeout: 60 },
      logger: silentLogger,
    });
    this.broker = new Redis(redis.port);
    this.results = new Redis(redis.port, { db: 1 });
    this.#record = new Redis(redis.port, { db: 2 });
    this.#dir = mkdtempSync(join(tmpdir(), "canvas-fleet-"));
    writeFileSync(
      join(this.#dir, "app.mjs"),
      `import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";
import { Celery } from ${JSON.stringify(built("index.js"))};
const { Redis } = createRequire(${JSON.stringify(root)})("ioredis");
const record = new Redis(${redis.port}, "127.0.0.1", { db: 2 });
export const app = new Celery("model", {
  brokerUrl: "${redis.url}/0",
  resultBackend: "${redis.url}/1",
  brokerTransportOptions: { lease: 5, delivery_limit: 1000000 },
});
app.task("demo.wrap", { acksLate: true, bind: true }, async ({ request }, ...values) => {
  const label = values.at(-1);
  const { redelivered } = request.deliveryInfo;
  const run = { atMs: Date.now(), label, id: request.id, rootId: request.rootId, parentId: request.parentId, redelivered };
  await record.rpush("runs:" + label.split(".")[0], JSON.stringify(run));
  await pause(Math.random() * 40);
  return [label, ...values.slice(0, -1)];
});
`,
    );
  }

  static async start(count: number): Promise<CanvasFleet> {
    const fleet = new CanvasFleet(await startRedis(), count);
    for (let index = 0; index < count; index += 1) await fleet.add();
    return fleet;
  }

  /** One at a time: once it has taken a message, what is new in Redis is its. */
  async add(): Promise<void> {
    if (this.#workers.length >= this.#size) throw new Error(`the fleet has its ${this.#size} workers`);
    this.#started += 1;
    const name = `m${this.#started}@model`;
    const child = spawn(
      process.execPath,
      [
        cli,
        "-A",
        join(this.#dir, "app.mjs"),
        "worker",
        "-c",
        "16",
        "-n",
        name,
        "-Q",
        `celery,${name}`,
        "--without-gossip",
        "--without-mingle",
      ],
      { stdio: ["ignore", "ignore", "ignore"] },
    );
    trackProcess(child, "petiole worker");
    await this.app.sendTask("demo.wrap", ["first"], { queue: name });
    const nodes = await eventually(
      `${name} fetches`,
      async () => {
        const found = (await this.broker.keys(`${FENCE}*`)).map((key) => key.slice(FENCE.length));
        const fresh = found.filter((node) => !this.#known.has(node));
        return fresh.length > 0 && fresh;
      },
      { timeoutMs: 60_000 },
    ).catch((error: unknown) => {
      child.kill("SIGKILL");
      throw error;
    });
    for (const node of nodes) this.#known.add(node);
    this.#workers.push({ child, nodes });
  }

  /**
   * SIGKILL of one that holds messages, `at` says which of them, and another in its place. Returns the ids of what the victim
   * held; none: nobody held any.
   */
  async kill(at: number): Promise<readonly string[]> {
    const held = await this.#held();
    const holders = this.#workers.filter((one) => one.nodes.some((node) => held.has(node)));
    const victim = holders[at % holders.length];
    if (victim === undefined) return [];
    const gone = once(victim.child, "exit");
    victim.child.kill("SIGKILL");
    await gone;
    this.#workers = this.#workers.filter((one) => one !== victim);
    // What it had written to its socket is carried out by now: nobody else touches its tags before its lease ends.
    await pause(30);
    const after = await this.#held();
    await this.add();
    return victim.nodes.flatMap((node) => after.get(node) ?? []);
  }

  /** Ids of the messages that are held, by node. */
  async #held(): Promise<ReadonlyMap<string, readonly string[]>> {
    const held = new Map<string, string[]>();
    for (const [tag, value] of Object.entries(await this.broker.hgetall("unacked"))) {
      const node = /^ts1:(?:p:\d+:)?([0-9a-f]+):/u.exec(tag)?.[1] ?? "";
      const [message] = JSON.parse(value) as [{ readonly headers: { readonly id: string } }];
      held.set(node, [...(held.get(node) ?? []), message.headers.id]);
    }
    return held;
  }

  async runs(canvas: string): Promise<readonly Run[]> {
    return (await this.#record.lrange(`runs:${canvas}`, 0, -1)).map((text) => JSON.parse(text) as Run);
  }

  /** Nothing is queued, held, or due. */
  async settled(): Promise<void> {
    await eventually(
      "all is over",
      async () => {
        const left = await Promise.all([
          this.broker.llen("celery"),
          this.broker.hlen("unacked"),
          this.results.zcard("celery-taskset-meta-petiole.due"),
        ]);
        return left.every((one) => one === 0);
      },
      { timeoutMs: 90_000, intervalMs: 200 },
    );
  }

  async stop(): Promise<void> {
    for (const { child } of this.#workers) child.kill("SIGKILL");
    await this.app.close();
    for (const one of [this.broker, this.results, this.#record]) one.disconnect();
    await this.redis.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
