/**
 * The thread that renews leases. Has a connection of its own and needs nothing of the main thread: what is held it reads from
 * shared memory (`lease-table.ts`), so user code that blocks the event loop loses no lease. When the main thread made no
 * progress for `stallMs` it stops renewing, so that an endless loop does not keep messages for ever.
 *
 * Tells the main thread: `{gone: tags}` (a hint, see `lease.ts`), `{beat: n}`, `{stalled: true}`, `{trouble: text}`.
 */
import { parentPort, workerData } from "node:worker_threads";
import { systemClock } from "../../base/clock.ts";
import { RedisConnection } from "../../redis/connection.ts";
import { RedisError } from "../../redis/errors.ts";
import { readLeases } from "./lease-table.ts";
import { BEAT } from "./scripts/lease.lua.ts";

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
  /** The address for messages, without the password. */
  readonly redacted: string;
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

/** The connection, or the attempt to make one; null before the first and after a loss. Written by `connected` and `drop`. */
let dialling: Promise<RedisConnection> | null = null;

function connected(): Promise<RedisConnection> {
  dialling ??= RedisConnection.dial({
    address: {
      host: data.host,
      port: data.port,
      path: data.path,
      db: data.db,
      username: data.username,
      password: data.password,
      tls: data.tls && data.anyHostName ? { ...data.tls, checkServerIdentity: () => undefined } : data.tls,
      redacted: data.redacted,
    },
    protocol: 2,
    clientName: null,
    dialMs: data.commandMs,
    commandMs: data.commandMs,
    clock: systemClock,
  }).then((connection) => {
    connection.onClose = () => {
      dialling = null;
    };
    return connection;
  });
  return dialling;
}

function drop(reason: string): void {
  const last = dialling;
  dialling = null;
  last?.then(
    (connection) => connection.destroy(new RedisError("connection", reason)),
    () => {},
  );
}

async function beat(tags: readonly string[]): Promise<void> {
  const connection = await connected();
  const gone: string[] = [];
  for (let from = 0; from < tags.length; from += TAGS_PER_CALL) {
    const chunk = tags.slice(from, from + TAGS_PER_CALL);
    const reply = await connection.script(BEAT, { keys: data.keys, args: [data.leaseMs / 1000, ...chunk] });
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
    drop(text);
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
