/**
 * The thread that renews leases. Has its own socket and its own small client, and needs nothing of the main thread: what is
 * held it reads from shared memory (`lease-table.ts`), so user code that blocks the event loop loses no lease. When the main
 * thread made no progress for `stallMs` it stops renewing, so that an endless loop does not keep messages for ever.
 *
 * Tells the main thread: `{gone: tags}` (a hint, see `lease.ts`), `{beat: n}`, `{stalled: true}`, `{trouble: text}`.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import { encodeCommand, isRespError, isRespPush, RespReader, type RespValue } from "../../redis/resp.ts";
import { readLeases } from "./lease-table.ts";

/** What the thread is started with. Plain data: it crosses a thread border. */
export interface BeatThreadData {
  readonly buffer: SharedArrayBuffer;
  readonly host: string;
  readonly port: number;
  readonly path: string | null;
  readonly db: number;
  readonly username: string | null;
  readonly password: string | null;
  readonly tls: Readonly<Record<string, unknown>> | null;
  /** The host name of the certificate is not checked. */
  readonly anyHostName: boolean;
  readonly script: { readonly text: string; readonly sha: string };
  /** unacked_index, unacked_lease. */
  readonly keys: readonly [string, string];
  readonly nodePrefix: string;
  readonly leaseMs: number;
  readonly beatMs: number;
  /** 0 = never. */
  readonly stallMs: number;
  readonly commandMs: number;
}

/** Tags of one BEAT. */
const TAGS_PER_CALL = 1000;
const RETRY_MS = 500;

const data = workerData as BeatThreadData;
const tell = (message: object): void => parentPort?.postMessage(message, []);

interface Waiting {
  resolve(value: RespValue): void;
  reject(error: Error): void;
}

/** The connection, or null. Written by `open` and `drop`. */
let socket: Socket | null = null;
let ready: Promise<void> | null = null;
let waiting: Waiting[] = [];

function drop(error: Error): void {
  socket?.destroy();
  socket = null;
  ready = null;
  const rejected = waiting;
  waiting = [];
  for (const one of rejected) one.reject(error);
}

function send(args: readonly (string | number)[]): Promise<RespValue> {
  const target = socket;
  if (target === null) return Promise.reject(new Error("not connected"));
  return new Promise<RespValue>((resolve, reject) => {
    const timer = setTimeout(() => drop(new Error(`no answer within ${data.commandMs} ms`)), data.commandMs);
    waiting.push({
      resolve: (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      reject: (error) => {
        clearTimeout(timer);
        reject(error);
      },
    });
    target.write(encodeCommand(args));
  });
}

function dial(): Socket {
  const where = data.path === null ? { host: data.host, port: data.port } : { path: data.path };
  if (data.tls === null) return connectTcp(where);
  const options = { ...where, ...data.tls } as ConnectionOptions;
  return connectTls(data.anyHostName ? { ...options, checkServerIdentity: () => undefined } : options);
}

async function open(): Promise<void> {
  const dialled = dial();
  socket = dialled;
  dialled.setNoDelay(true);
  const reader = new RespReader();
  dialled.on("data", (chunk) => {
    if (socket !== dialled) return;
    try {
      for (const value of reader.push(chunk)) {
        if (!isRespPush(value)) waiting.shift()?.resolve(value);
      }
    } catch (error) {
      drop(error as Error);
    }
  });
  const lost = (error?: Error): void => {
    if (socket === dialled) drop(error ?? new Error("connection closed"));
  };
  dialled.on("error", lost);
  dialled.on("close", () => lost());
  const greeting: Promise<RespValue>[] = [];
  if (data.password !== null) {
    greeting.push(
      send(data.username === null ? ["AUTH", data.password] : ["AUTH", data.username, data.password]),
    );
  }
  if (data.db !== 0) greeting.push(send(["SELECT", data.db]));
  for (const reply of await Promise.all(greeting)) {
    if (isRespError(reply)) throw new Error(reply.error);
  }
}

async function beat(tags: readonly string[]): Promise<void> {
  if (ready === null) {
    ready = open();
    ready.catch((error: unknown) => drop(error as Error));
  }
  await ready;
  const gone: string[] = [];
  for (let from = 0; from < tags.length; from += TAGS_PER_CALL) {
    const chunk = tags.slice(from, from + TAGS_PER_CALL);
    const rest = [2, ...data.keys, data.leaseMs / 1000, ...chunk];
    let reply = await send(["EVALSHA", data.script.sha, ...rest]);
    if (isRespError(reply) && reply.error.startsWith("NOSCRIPT")) {
      reply = await send(["EVAL", data.script.text, ...rest]);
    }
    if (isRespError(reply)) throw new Error(reply.error);
    if (Array.isArray(reply)) {
      for (const position of reply) {
        const tag = chunk[Number(position)];
        if (tag !== undefined) gone.push(tag);
      }
    }
  }
  tell({ beat: tags.length });
  if (gone.length > 0) tell({ gone });
}

let progress = -1;
let progressAt = performance.now();
let stalled = false;

/** One round. Answers when the next one is due, ms. */
async function round(): Promise<number> {
  const now = performance.now();
  const leases = readLeases(data.buffer);
  if (leases.progress !== progress) {
    progress = leases.progress;
    progressAt = now;
    stalled = false;
  } else if (data.stallMs > 0 && now - progressAt >= data.stallMs) {
    if (!stalled) tell({ stalled: true });
    stalled = true;
  }
  if (stalled || leases.held.length === 0) return data.beatMs;
  try {
    await beat(leases.held.map(([call, index]) => `${data.nodePrefix}${call}:${index}`));
    return data.beatMs;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    drop(new Error(text));
    tell({ trouble: text });
    return Math.min(RETRY_MS, data.beatMs);
  }
}

function schedule(delayMs: number): void {
  setTimeout(() => {
    void round().then(schedule);
  }, delayMs);
}

schedule(Math.min(data.beatMs, 1000));
