/** The keys of a schedule in Redis, RedBeat's, and what they hold. */
import type { PeriodicTask } from "../../../app/periodic.ts";
import type { RedisArg } from "../../../redis/connection.ts";
import { RedisError } from "../../../redis/errors.ts";
import type { RedisSession } from "../../../redis/session.ts";
import { beginning, nextSlot } from "../../slots.ts";
import type { EntryRuns } from "../store.ts";
import { readEntry, readMeta, writeEntry, writeMeta } from "./json.ts";

/** Commands of one write. */
const PAGE = 500;
/** Characters; what is longer is not read. */
const LONGEST = 1024 * 1024;

export class ScheduleKeys {
  readonly prefix: string;
  /** ZSET: key of an entry -> next run, epoch seconds. */
  readonly schedule: string;
  /** ZSET: the same, of entries that RedBeat could not read, or would run at other times. Ours alone. */
  readonly apart: string;
  /** SET: names of the entries that are a program's own. */
  readonly statics: string;
  readonly lock: string;
  /** STRING: how often the lock was taken. Ours alone. */
  readonly reigns: string;

  constructor(prefix: string, lock: string | null) {
    this.prefix = prefix;
    this.schedule = `${prefix}:schedule`;
    this.apart = `${prefix}:petiole`;
    this.statics = `${prefix}:statics`;
    this.reigns = `${prefix}:reigns`;
    const given = lock ?? `${prefix}:lock`;
    this.lock = given.startsWith(prefix) ? given : prefix + given;
  }

  entry(name: string): string {
    return this.prefix + name;
  }

  /** null: of no entry. */
  nameOf(key: string): string | null {
    if (!key.startsWith(this.prefix) || key.length === this.prefix.length) return null;
    const others = [this.schedule, this.apart, this.statics, this.reigns, this.lock];
    return others.includes(key) ? null : key.slice(this.prefix.length);
  }
}

/** An entry of the store. */
export type StoredEntry =
  | {
      readonly kind: "entry";
      readonly name: string;
      readonly task: PeriodicTask;
      readonly enabled: boolean;
      readonly shape: string;
      /** null: it has never run. */
      readonly runs: EntryRuns | null;
      /** Its runs were written by a scheduler of ours. */
      readonly ours: boolean;
    }
  | { readonly kind: "unreadable"; readonly name: string; readonly text: string; readonly reason: string }
  /** It has no definition: it is a program's own, or was removed. */
  | {
      readonly kind: "bare";
      readonly name: string;
      readonly runs: EntryRuns | null;
      readonly exists: boolean;
    };

export interface EntriesOptions {
  readonly session: RedisSession;
  readonly keys: ScheduleKeys;
  /** IANA name: the setting `timezone`. */
  readonly zone: string;
}

export class ScheduleEntries {
  readonly #options: EntriesOptions;

  constructor(options: EntriesOptions) {
    this.#options = options;
  }

  /** Of the schedule. */
  async names(): Promise<string[]> {
    const { keys } = this.#options;
    const members = await this.#all([keys.schedule, keys.apart].map((key) => ["zrange", key, 0, -1]));
    const names = (members as string[][]).flat().map((key) => keys.nameOf(key));
    return names.filter((name) => name !== null);
  }

  /** Of programs' own entries. */
  async ownNames(): Promise<string[]> {
    const { session, keys } = this.#options;
    return (await session.command("smembers", [keys.statics])) as string[];
  }

  async read(names: readonly string[]): Promise<StoredEntry[]> {
    const { keys } = this.#options;
    const replies = await this.#all(
      names.map((name) => ["hmget", keys.entry(name), "definition", "meta", "petiole", "slot"]),
    );
    return replies.map((reply, at) => storedEntry(names[at] as string, reply as (string | null)[]));
  }

  /** Its runs are kept where it has some. */
  async put(task: PeriodicTask, enabled: boolean, nowMs: number): Promise<boolean> {
    const [before] = await this.read([task.name]);
    const lastRunAtMs = (before?.kind === "unreadable" ? null : before?.runs?.lastRunAtMs) ?? nowMs;
    const commands = this.#putCommands(task, { enabled, nowMs, lastRunAtMs });
    if (commands === null) return false;
    await this.#all(commands);
    return true;
  }

  async remove(name: string): Promise<boolean> {
    const { keys } = this.#options;
    const [removed] = await this.#all(this.#removeCommands([name]));
    await this.#all([["srem", keys.statics, name]]);
    return Number(removed) > 0;
  }

  /**
   * Takes in a program's own entries: those that it had before and has no more are removed. One that was disabled stays so.
   * Those that cannot be written as data get a hash without a definition, which RedBeat does not see.
   */
  async adopt(tasks: readonly PeriodicTask[], nowMs: number): Promise<void> {
    const { keys } = this.#options;
    const names = tasks.map(({ name }) => name);
    const had = await this.ownNames();
    const removed = had.filter((name) => !names.includes(name));
    if (removed.length > 0) {
      await this.#all([...this.#removeCommands(removed), ["srem", keys.statics, ...removed]]);
    }
    const stored = await this.read(names);
    const commands: Command[] = tasks.flatMap((task, at): Command[] => {
      const before = stored[at];
      const enabled = before?.kind !== "entry" || before.enabled;
      const lastRunAtMs =
        (before?.kind === "unreadable" ? null : before?.runs?.lastRunAtMs) ?? beginning(task, nowMs);
      return (
        this.#putCommands(task, { enabled, nowMs, lastRunAtMs }) ?? [
          ["hdel", keys.entry(task.name), "definition"],
          ["hsetnx", keys.entry(task.name), "meta", writeMeta({ lastRunAtMs, totalRunCount: 0 })],
          ...this.#zrem([task.name]),
        ]
      );
    });
    if (names.length > 0) commands.push(["sadd", keys.statics, ...names]);
    await this.#all(commands);
  }

  /** Takes what has no hash off the schedule, as RedBeat does. */
  async drop(names: readonly string[]): Promise<void> {
    await this.#all(this.#zrem(names));
  }

  /** Epoch seconds of the next run; -1: there is none. */
  score(task: PeriodicTask, lastRunAtMs: number): number {
    const next = nextSlot(task, lastRunAtMs, this.#options.zone);
    return next === Infinity ? -1 : Math.floor(next / 1000);
  }

  #putCommands(
    task: PeriodicTask,
    {
      enabled,
      nowMs,
      lastRunAtMs = beginning(task, nowMs),
    }: { enabled: boolean; nowMs: number; lastRunAtMs?: number },
  ): Command[] | null {
    const { keys } = this.#options;
    const texts = writeEntry(task, enabled);
    if (texts === null) return null;
    const key = keys.entry(task.name);
    return [
      ["hset", key, "definition", texts.definition],
      texts.own === "" ? ["hdel", key, "petiole"] : ["hset", key, "petiole", texts.own],
      ["hsetnx", key, "meta", writeMeta({ lastRunAtMs: beginning(task, nowMs), totalRunCount: 0 })],
      ["zrem", texts.apart ? keys.schedule : keys.apart, key],
      ["zadd", texts.apart ? keys.apart : keys.schedule, this.score(task, lastRunAtMs), key],
    ];
  }

  #removeCommands(names: readonly string[]): Command[] {
    const { keys } = this.#options;
    return [["del", ...names.map((name) => keys.entry(name))], ...this.#zrem(names)];
  }

  #zrem(names: readonly string[]): Command[] {
    const { keys } = this.#options;
    const entries = names.map((name) => keys.entry(name));
    return [
      ["zrem", keys.schedule, ...entries],
      ["zrem", keys.apart, ...entries],
    ];
  }

  async #all(commands: readonly Command[]): Promise<unknown[]> {
    const replies: unknown[] = [];
    for (let at = 0; at < commands.length; at += PAGE) {
      replies.push(...(await this.#options.session.pipeline(commands.slice(at, at + PAGE))));
    }
    const refused = replies.find((reply) => reply instanceof RedisError);
    if (refused !== undefined) throw refused;
    return replies;
  }
}

type Command = readonly [string, ...RedisArg[]];

function storedEntry(name: string, reply: readonly (string | null)[]): StoredEntry {
  const [definition = null, meta = null, own = null, slot = null] = reply;
  const { runs, ours } = runsOf(meta, slot);
  if (definition === null) return { kind: "bare", name, runs, exists: meta !== null };
  try {
    if (definition.length > LONGEST) throw new TypeError("the definition is longer than 1 MiB");
    const read = readEntry({ definition, own: own ?? "" });
    if (read.task.name !== name) {
      throw new TypeError(`the definition is of ${JSON.stringify(read.task.name.slice(0, 200))}`);
    }
    return { kind: "entry", name, ...read, runs, ours };
  } catch (error) {
    return { kind: "unreadable", name, text: definition, reason: (error as Error).message };
  }
}

/** The slot is finer than `meta`; it counts unless another has written `meta` since. */
function runsOf(meta: string | null, slot: string | null): { runs: EntryRuns | null; ours: boolean } {
  const runs = readMeta(meta);
  if (runs === null || slot === null) return { runs, ours: false };
  const slotMs = Number(slot);
  const ours = Math.floor(slotMs) === runs.lastRunAtMs;
  return { runs: ours ? { ...runs, lastRunAtMs: slotMs } : runs, ours };
}
