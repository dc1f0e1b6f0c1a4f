import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { sendTls, startRedis } from "../support/redis.ts";

test("a private server answers, and its directory is gone after stop", async () => {
  const redis = await startRedis();
  expect(await redis.command("SET", "k", "v")).toBe("OK");
  expect(await redis.command("GET", "k")).toBe("v");
  await redis.stop();
  await redis.stop();
  expect(existsSync(redis.dir)).toBe(false);
  await expect(redis.command("PING")).rejects.toThrow(/ENOENT|ECONNREFUSED/);
});

test("with an append-only file a killed server has its data back on the same port", async () => {
  const redis = await startRedis({ aof: true });
  const { port, pid } = redis;
  await redis.command("RPUSH", "list", "a", "b");
  await redis.kill("SIGKILL");
  await redis.restart();
  expect(redis.port).toBe(port);
  expect(redis.pid).not.toBe(pid);
  expect(await redis.command("LRANGE", "list", "0", "-1")).toBe("a\nb");
  await redis.stop();
});

test("further arguments win over the defaults", async () => {
  const redis = await startRedis({ args: ["--maxmemory", "50mb"] });
  expect(await redis.command("CONFIG", "GET", "maxmemory")).toBe("maxmemory\n52428800");
  await redis.stop();
});

test("a TLS server serves with its own certificate", async () => {
  const redis = await startRedis({ tls: true });
  expect(redis.url).toBe(`rediss://localhost:${redis.port}`);
  expect(await sendTls(redis, "PING")).toBe("PONG");
  await redis.stop();
});

test("an argument that the server refuses is reported with the server's words", async () => {
  await expect(startRedis({ args: ["--no-such-option", "1"] })).rejects.toThrow(/no-such-option/);
});

test("waiting for what never happens ends at the deadline and tells what it waited for", async () => {
  await expect(eventually("pigs fly", () => false, { timeoutMs: 30 })).rejects.toThrow(
    "within 30 ms never so: pigs fly",
  );
});
