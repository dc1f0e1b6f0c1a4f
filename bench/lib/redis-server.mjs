/** A private redis-server on a free loopback port with its own directory. Stopped by its pid; nobody else's server is touched. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { Redis } from "ioredis";
import { freePort } from "../../scripts/lib/ports.mjs";

/** Servers of this process: whatever ends it, they end with it. */
const running = new Set();
process.once("exit", () => {
  for (const { child, dir } of running) {
    child.kill("SIGKILL");
    rmSync(dir, { recursive: true, force: true });
  }
});

/** Without persistence, unless `args` ask for it. */
const QUIET = ["--save", "", "--appendonly", "no"];

export class RedisServer {
  #process = null;
  #args;

  static async start({ args = QUIET } = {}) {
    const found = spawnSync("redis-server", ["--version"], { encoding: "utf8" });
    if (found.error)
      throw new Error("redis-server is not installed: apt-get install redis-server, or brew install redis");
    const server = new RedisServer();
    server.dir = mkdtempSync(path.join(tmpdir(), "petiole-bench-redis-"));
    server.port = await freePort();
    server.url = `redis://127.0.0.1:${server.port}/0`;
    server.version = /v=(\S+)/.exec(found.stdout)?.[1] ?? "unknown";
    server.#args = args;
    await server.up();
    return server;
  }

  get pid() {
    return this.#process.pid;
  }

  /** Starts the process; resolves at the first PONG. Also after `down`. */
  async up() {
    const child = spawn(
      "redis-server",
      [
        "--port",
        String(this.port),
        "--bind",
        "127.0.0.1",
        "--dir",
        this.dir,
        "--loglevel",
        "warning",
        ...this.#args,
      ],
      { stdio: "ignore" },
    );
    this.#process = child;
    const entry = { child, dir: this.dir };
    running.add(entry);
    child.once("exit", () => running.delete(entry));
    const deadline = Date.now() + 20_000;
    for (;;) {
      if (child.exitCode !== null) throw new Error(`redis-server ended with exit code ${child.exitCode}`);
      if (await answers(this.port)) return;
      if (Date.now() > deadline) throw new Error("redis-server does not answer within 20 s");
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Ends the process and waits for it. */
  async down(signal = "SIGTERM") {
    const child = this.#process;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  }

  async stop() {
    await this.down("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }

  client() {
    const client = new Redis({ host: "127.0.0.1", port: this.port, maxRetriesPerRequest: null });
    client.on("error", () => {});
    return client;
  }
}

async function answers(port) {
  const client = new Redis({
    host: "127.0.0.1",
    port,
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    return (await client.ping()) === "PONG";
  } catch {
    return false;
  } finally {
    client.disconnect();
  }
}

/** `INFO` as one flat object of strings. */
export async function info(client, section) {
  const text = await client.info(section);
  const fields = {};
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0 && !line.startsWith("#")) fields[line.slice(0, colon)] = line.slice(colon + 1);
  }
  return fields;
}

/** CPU seconds the server has used so far, with a resolution of microseconds. */
export async function serverCpu(client) {
  const fields = await info(client, "cpu");
  return Number(fields.used_cpu_sys) + Number(fields.used_cpu_user);
}

/**
 * Counts the commands that clients send, by name. Those that scripts call are not counted: MONITOR marks them `lua`.
 * MONITOR costs the server time, so nothing else is measured meanwhile. A plain socket: clients do not expect lines
 * that arrive between MONITOR and the end of the connection.
 */
export async function countCommands(server) {
  const socket = connect(server.port, "127.0.0.1");
  const counts = new Map();
  let total = 0;
  let rest = "";
  const started = new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.setEncoding("latin1").on("data", (text) => {
      const lines = (rest + text).split("\r\n");
      rest = lines.pop();
      for (const line of lines) {
        if (line === "+OK") resolve();
        // +1700000000.000001 [0 127.0.0.1:50000] "SET" "key" "value"
        const [, source, name] = /^\+[\d.]+ \[\d+ (\S+)\] "([^"]*)"/.exec(line) ?? [];
        if (name === undefined || source === "lua") continue;
        total += 1;
        counts.set(name.toLowerCase(), (counts.get(name.toLowerCase()) ?? 0) + 1);
      }
    });
  });
  socket.write("MONITOR\r\n");
  await started;
  return {
    read: () => ({ total, byName: Object.fromEntries([...counts].sort((a, b) => b[1] - a[1])) }),
    close: () => socket.destroy(),
  };
}
