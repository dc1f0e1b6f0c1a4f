/**
 * Keeps leases alive: starts the beat thread with the first message, and beats from the main thread while there is none.
 * A worker that has held nothing for a whole period gives the thread back (11 MB); the next message starts another.
 *
 * What the thread reports as gone is a hint only: it may have asked before a FETCH was executed, or after an ack. The
 * consumer asks again on the data connection, where the order is its own.
 */
import { Worker } from "node:worker_threads";
import type { Clock, Timer } from "../../base/clock.ts";
import type { Logger } from "../../base/logger.ts";
import { TestSignal } from "../../base/test-signal.ts";
import type { RedisAddress } from "../../redis/url.ts";
import type { BeatThreadData } from "./beat-thread.ts";
import type { LeaseTable } from "./lease-table.ts";
import type { RedisTransportSettings } from "./options.ts";

export interface LeaseOptions {
  readonly address: RedisAddress;
  readonly settings: RedisTransportSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly table: LeaseTable;
  /** Nothing is held, in whatever state. */
  readonly idle: () => boolean;
  /** unacked_index, unacked_lease. */
  readonly keys: readonly [string, string];
  readonly nodePrefix: string;
  /** Tags that may be gone. */
  readonly onGone: (tags: readonly string[]) => void;
  /** Renew from here: there is no thread. */
  readonly beatHere: () => void;
  /** The event loop stood still for more than half a lease: look at everything before anything of it starts. */
  readonly onStall: () => void;
}

interface ThreadMessage {
  readonly gone?: readonly string[];
  readonly beat?: number;
  readonly stalled?: boolean;
  readonly trouble?: string;
}

const RESTART_MS = 1000;
const TERMINATE_MS = 1000;

export class LeaseKeeper {
  /** Messages of the thread, for tests. */
  readonly signals: { readonly thread: TestSignal<ThreadMessage>; readonly resting: TestSignal<number> } = {
    thread: new TestSignal(),
    resting: new TestSignal(),
  };
  readonly #options: LeaseOptions;
  #thread: Worker | null = null;
  /** Beats while there is no thread; bumps the progress counter always. */
  #timer: Timer | null = null;
  #restart: Timer | null = null;
  #started = false;
  #stopped = false;
  /** A message was handed over since the last tick. Written by `start` and `#tick`. */
  #used = false;
  /** The thread can do nothing here: its options cannot cross a thread border. */
  #alone = false;

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  /** Before the first message is handed over: user code may block the event loop from then on. */
  start(): void {
    this.#used = true;
    if (this.#started || this.#stopped) return;
    this.#started = true;
    this.#startThread();
    this.#tick();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#restart?.cancel();
    const thread = this.#thread;
    this.#thread = null;
    if (thread === null) return;
    // Nobody waits long for a thread that does not end: it holds nothing that is needed.
    await Promise.race([
      thread.terminate(),
      new Promise<void>((resolve) => {
        this.#options.clock.setTimer(TERMINATE_MS, resolve, { unref: true });
      }),
    ]);
  }

  #tick(): void {
    const { clock, settings, table, idle, beatHere, onStall } = this.#options;
    const { beatMs, leaseMs, workerStallLimitMs } = settings;
    const periodMs = workerStallLimitMs > 0 ? Math.min(beatMs, workerStallLimitMs / 3) : beatMs;
    const dueMs = clock.monotonic() + periodMs;
    this.#timer = clock.setTimer(
      periodMs,
      () => {
        table.progress();
        // A process that was stopped, or a very long block: the thread may have stood still as well.
        if (clock.monotonic() - dueMs > leaseMs / 2) onStall();
        else if (!this.#used && idle()) return this.#rest();
        else if (this.#thread === null) beatHere();
        this.#used = false;
        this.#tick();
      },
      { unref: true },
    );
  }

  /** There is nothing to renew: neither thread nor timer, until the next message. */
  #rest(): void {
    this.#started = false;
    this.#restart?.cancel();
    const thread = this.#thread;
    this.#thread = null;
    void thread?.terminate().then(() => this.signals.resting.signal(thread.threadId));
  }

  #startThread(): void {
    if (this.#alone) return;
    const { logger, settings } = this.#options;
    let thread: Worker;
    try {
      thread = newThread(this.#data());
    } catch (error) {
      this.#alone = true;
      logger.warn(
        { err: error },
        "no thread for leases: code that blocks the event loop for long may lose them",
      );
      return;
    }
    this.#thread = thread;
    thread.unref();
    thread.on("message", (message: ThreadMessage) => this.#hear(message));
    thread.on("error", (error) => logger.warn({ err: error }, "the thread that renews leases failed"));
    thread.on("exit", () => {
      if (this.#thread !== thread) return;
      this.#thread = null;
      if (this.#stopped) return;
      this.#restart = this.#options.clock.setTimer(
        Math.min(RESTART_MS, settings.beatMs),
        () => this.#startThread(),
        { unref: true },
      );
    });
  }

  #hear(message: ThreadMessage): void {
    const { logger, onGone } = this.#options;
    this.signals.thread.signal(message);
    if (message.gone) onGone(message.gone);
    if (message.stalled) {
      logger.error(
        { limitMs: this.#options.settings.workerStallLimitMs },
        "the event loop stands still, leases are given up",
      );
    }
    if (message.trouble)
      logger.debug({ reason: message.trouble }, "leases could not be renewed, it is tried again");
  }

  #data(): BeatThreadData {
    const { address, settings, table, keys, nodePrefix } = this.#options;
    const { checkServerIdentity, ...tls } = address.tls ?? {};
    return {
      buffer: table.buffer,
      host: address.host,
      port: address.port,
      path: address.path,
      db: address.db,
      username: address.username,
      password: address.password,
      tls: address.tls === null ? null : tls,
      anyHostName: checkServerIdentity !== undefined,
      redacted: address.redacted,
      keys,
      nodePrefix,
      leaseMs: settings.leaseMs,
      beatMs: settings.beatMs,
      stallMs: settings.workerStallLimitMs,
      commandMs: settings.commandDeadlineMs,
    };
  }
}

function newThread(workerData: BeatThreadData): Worker {
  const here = import.meta.url;
  // Node 20 cannot start a thread from TypeScript: tests that run from the sources start the build's.
  const file = here.endsWith(".ts") ? "../../../dist/transports/redis/beat-thread.js" : "./beat-thread.js";
  return new Worker(new URL(file, here), {
    name: "petiole-leases",
    workerData,
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 },
  });
}
