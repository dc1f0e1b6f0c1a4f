/** A state DB that sentinels watch: what was acknowledged is held through the death of the master. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Celery } from "petiole";
import { RedisStateDB } from "petiole/statedb";
import { Worker } from "petiole/worker";
import { afterAll, beforeAll, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, type RedisServer, redisCommand, startRedis } from "../support/redis.ts";

let broker: RedisServer;
let master: RedisServer;
let replica: RedisServer;
let sentinel: ChildProcess;
let sentinelPort: number;
let dir: string;
let url: string;

beforeAll(async () => {
  [broker, master] = await Promise.all([
    startRedis(),
    startRedis({ args: ["--repl-diskless-sync-delay", "0"] }),
  ]);
  replica = await startRedis({ args: ["--replicaof", `127.0.0.1 ${master.port}`] });
  dir = mkdtempSync(join(tmpdir(), "sentinel-"));
  sentinelPort = await freePort();
  const file = join(dir, "sentinel.conf");
  writeFileSync(
    file,
    [
      `port ${sentinelPort}`,
      "bind 127.0.0.1",
      `sentinel monitor main 127.0.0.1 ${master.port} 1`,
      "sentinel down-after-milliseconds main 500",
      "sentinel failover-timeout main 2000",
    ].join("\n"),
  );
  sentinel = spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" });
  url = `sentinel://127.0.0.1:${await freePort()}/3;sentinel://127.0.0.1:${sentinelPort}?master_name=main`;
  await eventually("the sentinel knows the replica, which is in step", async () => {
    const told = await redisCommand(`redis://127.0.0.1:${sentinelPort}`, "SENTINEL", "REPLICAS", "main");
    const info = await replica.command("INFO", "replication");
    return told.includes(String(replica.port)) && info.includes("master_link_status:up");
  });
});
afterAll(async () => {
  const ended = once(sentinel, "exit");
  sentinel.kill();
  await Promise.all([ended, master.stop(), replica.stop(), broker.stop()]);
  rmSync(dir, { recursive: true, force: true });
});

test("a master that is not known, and sentinels that are away, are said by name", async () => {
  const unknown = new RedisStateDB({ redisUrl: url.replace("=main", "=other"), workerName: "w1@host" });
  await expect(unknown.addRevoked("id")).rejects.toThrow(/names the master of other .*does not know it/);
  unknown.close();
  const away = new RedisStateDB({
    redisUrl: `sentinel://:secret@127.0.0.1:${await freePort()}?master_name=main`,
    workerName: "w1@host",
  });
  await expect(away.addRevoked("id")).rejects.toThrow(/^(?!.*secret).*no sentinel names the master of main/);
  away.close();
});

test("a revoke holds when the master dies, and the next one is written to its successor", async () => {
  const app = new Celery("sentinel", {
    brokerUrl: `${broker.url}/0`,
    resultBackend: `${broker.url}/1`,
    redisStatedbUrl: url,
    logger: silentLogger,
  });
  const ran: string[] = [];
  const note = app.task("s.note", { bind: true }, (task) => void ran.push(task.request.id));
  const worker = new Worker(app, { hostname: "w1@host", logger: silentLogger });
  await worker.start();
  try {
    await app.control.revoke("before");
    expect(
      await redisCommand(`${master.url}/3`, "ZRANGE", "celery:worker:state:shared:revoked", "0", "-1"),
    ).toBe("before");
    // The replica confirms what it has.
    expect(await master.command("WAIT", "1", "5000")).toBe("1");
    await master.kill();
    await eventually("the replica is promoted", async () =>
      (await replica.command("ROLE")).startsWith("master"),
    );
    await eventually("a revoke is written to the new master", async () => {
      await app.control.revoke("after");
      const kept = await redisCommand(
        `${replica.url}/3`,
        "ZRANGE",
        "celery:worker:state:shared:revoked",
        "0",
        "-1",
      );
      return kept.split("\n").sort().join() === "after,before";
    });
    const results = await Promise.all(
      ["before", "after", "neither"].map((taskId) => note.applyAsync([], { taskId })),
    );
    await results[2]?.get({ timeout: 20 });
    expect(ran).toEqual(["neither"]);
  } finally {
    await worker.stop();
    await app.close();
  }
});
