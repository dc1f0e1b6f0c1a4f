/** Small steps that the sections share. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { runJson, start } from "./process-tree.mjs";
import { RedisServer } from "./redis-server.mjs";

const POLL_MS = 4;

/** A fresh server and a scratch directory for one measurement of one peer. */
export async function withServer(peer, measure) {
  const server = await RedisServer.start();
  const dir = mkdtempSync(path.join(tmpdir(), "petiole-bench-"));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  process.once("exit", remove);
  const client = server.client();
  if (peer.database !== 0) await client.select(peer.database);
  try {
    return await measure({ server, client, dir });
  } finally {
    client.disconnect();
    await server.stop();
    remove();
    process.off("exit", remove);
  }
}

export function produce(peer, server, order) {
  const { command, args, options } = peer.producer(server, { warmup: 0, ...order });
  return runJson(command, args, options);
}

export async function withWorker({ peer, server, ...options }, measure) {
  const { command, args, options: spawnOptions } = peer.worker(server, options);
  const worker = start(command, args, spawnOptions);
  try {
    return await measure(worker);
  } finally {
    await worker.stop();
  }
}

/** Asks again and again until `read` gives something other than null. */
export async function until(read, { what, worker = null, timeoutMs = 120_000, everyMs = POLL_MS }) {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (value !== null) return value;
    if (worker && !worker.running)
      throw new Error(`the worker ended while ${what}: ${worker.errors().slice(-2000)}`);
    if (Date.now() > deadline) {
      throw new Error(`${what}: not within ${timeoutMs / 1000} s. ${(worker?.errors() ?? "").slice(-2000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** `[called, started]` of each body so far, in milliseconds, in the order of the calls. */
export function stamps(file) {
  if (!existsSync(file)) return [];
  // The file may be there before its first line is, and end in the middle of one.
  const whole = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return whole.map((line) => line.split(" ").map(Number)).toSorted((a, b) => a[0] - b[0]);
}

/** Waits for the first body: the worker is up and has run its code once. */
export async function firstStamp({ worker, file, what }) {
  return until(() => stamps(file)[0] ?? null, { what, worker, timeoutMs: 60_000, everyMs: 10 });
}
