/**
 * A schedule in Redis, with RedBeat's keys and texts. Python: `redbeat.RedBeatScheduler`.
 *
 * Its lock is a lease. Each time it is taken it gets a token that it never had, and what writes, or publishes on the same server,
 * asks for that token in its own step: a holder that was stopped or cut off for longer than the lease changes nothing any more.
 *
 * | changes are heard of by | where                                                    |
 * |-------------------------|----------------------------------------------------------|
 * | client tracking         | the server pushes the key that was written (RESP3)       |
 * | a look each second      | it does not                                              |
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { PeriodicTask } from "../../../app/periodic.ts";
import type { Clock, Timer } from "../../../base/clock.ts";
import type { Logger } from "../../../base/logger.ts";
import { PetioleError } from "../../../errors.ts";
import type { RedisArg, RedisConnection } from "../../../redis/connection.ts";
import { RedisError } from "../../../redis/errors.ts";
import type { RedisPublishClaim } from "../../../redis/publish-claim.ts";
import type { RespValue } from "../../../redis/resp.ts";
import { RedisSession } from "../../../redis/session.ts";
import type { RedisAddress } from "../../../redis/url.ts";
import type {
  EntryRuns,
  LeaseTerms,
  ListedEntry,
  LoadedSchedule,
  ScheduleChange,
  ScheduleStore,
  StoredRuns,
} from "../store.ts";
import { ScheduleEntries, ScheduleKeys } from "./entries.ts";
import { isApart, writeMeta } from "./json.ts";
import { KnownEntries } from "./known.ts";
import { RENEW, SAVE, TAKE } from "./scripts.lua.ts";

export interface RedisScheduleOptions {
  readonly address: RedisAddress;
  /** RedBeat's `redbeat_key_prefix`. */
  readonly prefix: string;
  /** RedBeat's `redbeat_lock_key`; null: `<prefix>:lock`. */
  readonly lockKey: string | null;
  /** RedBeat's `redbeat_lock_timeout`; null: ours, which is shorter. */
  readonly lockTimeoutMs: number | null;
  /** IANA name: the setting `timezone`. */
  readonly zone: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly clientName: string | null;
}

const TTL_MS = 2000;
const COMMAND_MS = 2000;
const ASK_MS = 500;
/** Changes that come together are read together. */
const SOON_MS = 50;
const POLL_MS = 1000;
const SAVED_AT_ONCE = 500;

export class RedisScheduleStore implements ScheduleStore {
  readonly location: string;
  readonly lease: LeaseTerms;
  readonly keepsEntries = true;
  readonly #options: RedisScheduleOptions;
  readonly #keys: ScheduleKeys;
  readonly #session: RedisSession;
  readonly #entries: ScheduleEntries;
  /** null: it is not ours. */
  #token: string | null = null;
  #listener: ((changes: readonly ScheduleChange[]) => void) | null = null;
  readonly #known: KnownEntries;
  #tracking = false;
  /** Written since they were read; null: all. */
  #stale: Set<string> | null = new Set();
  #timer: Timer | null = null;
  #reading: Promise<void> = Promise.resolve();

  constructor(options: RedisScheduleOptions) {
    const { address, clock, logger, clientName, zone, prefix, lockKey, lockTimeoutMs } = options;
    this.#options = options;
    this.location = `${address.redacted} ${prefix}`;
    const ttlMs = lockTimeoutMs ?? TTL_MS;
    this.lease = { ttlMs, renewMs: ttlMs / 4, askMs: Math.min(ASK_MS, ttlMs / 4) };
    this.#keys = new ScheduleKeys(prefix, lockKey);
    this.#known = new KnownEntries({ clock, logger, zone });
    this.#session = new RedisSession({
      address,
      clock,
      logger,
      clientName,
      scripts: [TAKE, RENEW, SAVE],
      commandMs: COMMAND_MS,
      dialMs: COMMAND_MS,
      keepTrying: true,
      reclaim: (connection) => this.#track(connection),
      onState: (state) => {
        if (state === "live" && this.#token !== null) this.#readSoon(null);
      },
    });
    this.#entries = new ScheduleEntries({ session: this.#session, keys: this.#keys, zone });
  }

  follow(listener: (changes: readonly ScheduleChange[]) => void): void {
    this.#listener = listener;
  }

  // ---- the lease

  async take(): Promise<string | null> {
    await this.#session.live(null);
    const { lock, reigns } = this.#keys;
    const who = `${hostname()}:${process.pid}:${randomUUID()}`;
    const reply = String(
      await this.#session.script(TAKE, { keys: [lock, reigns], args: [who, this.lease.ttlMs] }),
    );
    if (reply.startsWith("-")) return holderOf(reply.slice(1));
    this.#token = reply;
    return null;
  }

  async renew(): Promise<boolean> {
    const token = this.#token;
    if (token === null) return false;
    const reply = await this.#session.script(RENEW, {
      keys: [this.#keys.lock],
      args: [token, this.lease.ttlMs],
    });
    if (reply === 1) return true;
    this.#lost(token);
    return false;
  }

  async release(): Promise<void> {
    const token = this.#token;
    if (token === null) return;
    this.#lost(token);
    await this.#session.script(RENEW, { keys: [this.#keys.lock], args: [token, 0] }).catch((err: unknown) => {
      this.#options.logger.debug({ err }, "the lock of the schedule was not given back: it ends by itself");
    });
  }

  async close(): Promise<void> {
    this.#token = null;
    this.#timer?.cancel();
    await this.#reading;
    this.#session.stop();
  }

  #lost(token: string): void {
    if (this.#token !== token) return;
    this.#token = null;
    this.#timer?.cancel();
    this.#timer = null;
  }

  // ---- what has run

  async load(tasks: readonly PeriodicTask[], nowMs: number): Promise<LoadedSchedule> {
    await this.#reading;
    await this.#entries.adopt(tasks, nowMs);
    const own = await this.#entries.read(tasks.map(({ name }) => name));
    this.#known.reset(tasks, own);
    const listed = await this.#entries.read(await this.#entries.names());
    const missing = listed.filter((one) => one.kind === "bare").map(({ name }) => name);
    if (missing.length > 0) {
      this.#options.logger.warn({ entries: missing }, "entries of the schedule have no definition: removed");
      await this.#entries.drop(missing);
    }
    const changes = this.#known.changes([...listed, ...own.filter((one) => one.kind === "bare")]);
    if (!this.#tracking) this.#poll();
    const puts = changes.filter((one) => one.kind === "put");
    return {
      tasks: puts.map(({ task }) => task),
      runs: new Map(puts.flatMap(({ task, runs }) => (runs === null ? [] : [[task.name, runs] as const]))),
    };
  }

  async save(runs: StoredRuns): Promise<boolean> {
    const token = this.#token;
    if (token === null) return false;
    const changed = [...runs].flatMap(([name, one]) => {
      const known = this.#known.get(name);
      return known === undefined || (known.notedMs ?? -1) >= one.lastRunAtMs
        ? []
        : [{ name, one, task: known.task }];
    });
    for (let at = 0; at < changed.length; at += SAVED_AT_ONCE) {
      const page = changed.slice(at, at + SAVED_AT_ONCE);
      const { lock, schedule, apart } = this.#keys;
      const keys = [lock, schedule, apart, ...page.map(({ name }) => this.#keys.entry(name))];
      const args: RedisArg[] = page.flatMap(({ one, task }) => [
        one.lastRunAtMs,
        writeMeta(one),
        this.#entries.score(task, one.lastRunAtMs),
      ]);
      if ((await this.#session.script(SAVE, { keys, args: [token, ...args] })) !== 1) {
        this.#lost(token);
        return false;
      }
      for (const { name, one } of page) this.#known.note(name, one.lastRunAtMs);
    }
    return true;
  }

  claim(task: PeriodicTask, runs: EntryRuns): RedisPublishClaim | null {
    const { facts } = this.#session;
    const token = this.#token;
    if (token === null || facts === null || facts.runId === null) return null;
    return {
      kind: "redis",
      runId: facts.runId,
      db: facts.db,
      selectAllowed: facts.selectAllowed,
      lockKey: this.#keys.lock,
      token,
      entryKey: this.#keys.entry(task.name),
      slotMs: runs.lastRunAtMs,
      meta: writeMeta(runs),
      scheduleKey: isApart(task) ? this.#keys.apart : this.#keys.schedule,
      score: this.#entries.score(task, runs.lastRunAtMs),
      onNoted: () => {
        if (this.#token === token) this.#known.note(task.name, runs.lastRunAtMs);
      },
    };
  }

  // ---- for operators

  async list(tasks: readonly PeriodicTask[]): Promise<readonly ListedEntry[]> {
    await this.#session.live(null);
    const own = await this.#entries.ownNames();
    const names = new Set([...(await this.#entries.names()), ...own]);
    const code = new Map(tasks.map((task) => [task.name, task]));
    return (await this.#entries.read([...names])).flatMap((stored): ListedEntry[] => {
      const { name } = stored;
      if (stored.kind === "unreadable") return [stored];
      const isOwn = own.includes(name);
      if (stored.kind === "entry") return [{ ...stored, own: isOwn }];
      const task = code.get(name);
      if (task === undefined || !stored.exists) return [];
      return [{ kind: "entry", name, task, enabled: true, runs: stored.runs, own: isOwn }];
    });
  }

  async put(task: PeriodicTask, enabled: boolean): Promise<void> {
    await this.#session.live(null);
    if (await this.#entries.put(task, enabled, this.#options.clock.now())) return;
    throw new PetioleError(
      "PET_SCHEDULE",
      `entry ${JSON.stringify(task.name)} cannot be kept in Redis: it has functions or other values that JSON has not, or is a canvas; change it in the app`,
    );
  }

  async remove(name: string): Promise<boolean> {
    await this.#session.live(null);
    return this.#entries.remove(name);
  }

  // ---- what others change

  async #track(connection: RedisConnection): Promise<void> {
    this.#tracking = false;
    connection.onPush = (push) => this.#heard(push);
    if (this.#session.facts?.protocol !== 3) return;
    try {
      await connection.command("client", ["tracking", "on", "bcast", "prefix", this.#keys.prefix, "noloop"]);
      this.#tracking = true;
    } catch (error) {
      if (connection.closed !== null || !(error instanceof RedisError)) throw error;
      this.#options.logger.debug({ err: error }, "changes of the schedule are looked for each second");
    }
  }

  #heard([kind, keys = null]: readonly RespValue[]): void {
    if (kind !== "invalidate" || this.#token === null) return;
    if (!Array.isArray(keys)) {
      this.#readSoon(null);
      return;
    }
    const names = keys
      .filter((key) => typeof key === "string")
      .map((key) => this.#keys.nameOf(key))
      .filter((name) => name !== null);
    if (names.length > 0) this.#readSoon(names);
  }

  #poll(): void {
    const token = this.#token;
    this.#options.clock.setTimer(
      POLL_MS,
      () => {
        if (this.#token !== token || token === null || this.#tracking) return;
        this.#readSoon(null);
        this.#poll();
      },
      { unref: true },
    );
  }

  #readSoon(names: readonly string[] | null): void {
    if (names === null) this.#stale = null;
    else for (const name of names) this.#stale?.add(name);
    this.#timer ??= this.#options.clock.setTimer(SOON_MS, () => {
      this.#timer = null;
      this.#reading = this.#reading.then(() => this.#readStale());
    });
  }

  /** Never rejects. */
  async #readStale(): Promise<void> {
    const stale = this.#stale;
    this.#stale = new Set();
    if (this.#token === null) return;
    try {
      const names = stale ?? new Set([...(await this.#entries.names()), ...this.#known.names]);
      const stored = await this.#entries.read([...names]);
      const changes = this.#known.changes(stored);
      if (changes.length > 0 && this.#token !== null) this.#listener?.(changes);
    } catch (err) {
      this.#options.logger.warn({ err }, "changes of the schedule could not be read: they are read again");
      if (this.#token !== null && this.#session.state === "live") this.#readSoon(null);
    }
  }
}

/** A token of ours says who has it; RedBeat's is a random number. */
function holderOf(token: string): string {
  const [, who] = /^\d+ (.+):[^:]+$/.exec(token) ?? [];
  return who ?? "a RedBeat scheduler";
}
