/**
 * `sqlite:///path/to/file.db`: revokes in the file that broker and results may be in, too. A revoke is in the file when it is
 * acknowledged; a worker of the same name writes no checkpoint any more once another has claimed it.
 */
import { randomInt, randomUUID } from "node:crypto";
import { OperationalError, PetioleError } from "../../errors.ts";
import { Database, HolderLock, isHolderAlive, removeHolderLock, SqliteError } from "../../sqlite/index.ts";
import type {
  Aged,
  Checkpoint,
  Follower,
  ForgottenNode,
  NodeState,
  Revocations,
  ShownState,
  StateDb,
  StateDbOptions,
  StateOverview,
  StateSnapshot,
} from "../state-db.ts";
import { type Kind, RevokedTable } from "./revoked.ts";

const HIGHEST_HOLDER = 2 ** 47;

export class SqliteStateDb implements StateDb {
  readonly location: string;
  readonly shared: boolean;
  readonly #options: StateDbOptions;
  readonly #token = randomUUID();
  readonly #holder = randomInt(HIGHEST_HOLDER);
  #opening: Promise<RevokedTable> | null = null;
  #lock: HolderLock | null = null;
  #follower: Follower | null = null;
  /** The last change that the follower was told of; null: it has not loaded yet. */
  #seq: number | null = null;
  #purges = 0;
  #rivals = new Set<string>();
  #stopped = false;

  constructor(options: StateDbOptions) {
    this.#options = options;
    this.location = options.url;
    this.shared = options.shared;
  }

  follow(follower: Follower): void {
    this.#follower = follower;
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const table = await this.#table();
    const { node, clock, prefix } = this.#options;
    const { db } = table;
    if (node === null || this.#lock !== null) return;
    this.#lock = await HolderLock.take(db.path, this.#holder);
    const before = await this.#write(table, () => {
      const old = table.node(node);
      db.run(
        "INSERT INTO petiole_nodes (place, node, token, holder, seen) VALUES (?, ?, ?, ?, ?) ON CONFLICT (place, node) DO UPDATE SET token = excluded.token, holder = excluded.holder, seen = excluded.seen",
        prefix,
        node,
        this.#token,
        this.#holder,
        clock.now(),
      );
      return old;
    });
    if (before?.holder != null) {
      if (await isHolderAlive(db.path, before.holder)) this.#tellRival(before.token ?? "");
      else removeHolderLock(db.path, before.holder);
    }
    this.#purges = table.purges();
    db.onChange(() => this.#look(table));
    db.onPoll(() => this.#look(table));
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#follower = null;
    const table = await this.#opening?.catch(() => null);
    if (table == null) return;
    const { db } = table;
    const { node, prefix } = this.#options;
    if (node !== null && this.#lock !== null) {
      const sql =
        "UPDATE petiole_nodes SET token = NULL, holder = NULL WHERE place = ? AND node = ? AND token = ?";
      await db
        .write(() => db.run(sql, prefix, node, this.#token))
        .catch((err: unknown) => {
          this.#options.logger.warn({ err }, "the name in the state DB was not given back");
        });
    }
    db.close();
    this.#lock?.release();
  }

  /** As if the process had died. */
  async abandon(): Promise<void> {
    this.#stopped = true;
    this.#follower = null;
    const table = await this.#opening;
    table?.db.abandon();
    this.#lock?.abandon();
  }

  // ---- the set

  async load(max: number): Promise<StateSnapshot> {
    const table = await this.#table();
    const { node } = this.#options;
    return this.#read(table, () => {
      const nowMs = this.#options.clock.now();
      this.#seq = table.lastSeq();
      this.#purges = table.purges();
      const owners = this.#owners();
      // One more than asked for tells whether there are more.
      const ids = table.newest("id", owners, max + 1);
      const stamps = table.newest("stamp", owners, max + 1);
      return {
        ids: agedOf(ids.slice(0, max).toReversed(), nowMs),
        stamps: agedOf(stamps.slice(0, max).toReversed(), nowMs),
        clock: node === null ? 0 : (table.node(node)?.clock ?? 0),
        complete: ids.length <= max && stamps.length <= max,
      };
    });
  }

  async revoke(revoked: Revocations): Promise<void> {
    const table = await this.#table();
    const owners = this.#owners();
    await this.#write(table, () => {
      const atMs = this.#options.clock.now();
      for (const owner of owners) {
        for (const id of revoked.ids) table.add(owner, { kind: "id", member: id, atMs, by: this.#token });
        for (const one of revoked.stamps)
          table.add(owner, { kind: "stamp", member: one, atMs, by: this.#token });
      }
    });
  }

  async lookUp(asked: Revocations): Promise<Revocations> {
    const table = await this.#table();
    const owners = this.#owners();
    const found = (kind: Kind, members: readonly string[]): string[] =>
      members.filter((member) => table.has(kind, owners, member));
    return this.#read(table, () => ({ ids: found("id", asked.ids), stamps: found("stamp", asked.stamps) }));
  }

  /** What is revoked was written at each revoke. */
  async checkpoint({ clock }: Checkpoint): Promise<"done" | "fenced"> {
    const { node, prefix } = this.#options;
    if (node === null) throw new TypeError("a client has no checkpoints");
    const table = await this.#table();
    return this.#write(table, () => {
      const now = this.#options.clock.now();
      table.dropExpired();
      const sql =
        "UPDATE petiole_nodes SET clock = max(clock, ?), seen = ? WHERE place = ? AND node = ? AND token = ?";
      return table.db.run(sql, clock, now, prefix, node, this.#token) > 0 ? "done" : "fenced";
    });
  }

  // ---- for operators

  async overview(): Promise<StateOverview> {
    const table = await this.#table();
    const nodes: NodeState[] = [];
    for (const one of this.#read(table, () => table.nodes())) {
      nodes.push({
        node: one.node,
        ids: table.count("id", one.node),
        stamps: table.count("stamp", one.node),
        clock: one.clock,
        blobBytes: 0,
        seenMs: one.seenMs,
        alive: one.holder !== null && (await isHolderAlive(table.db.path, one.holder)),
      });
    }
    return { nodes, shared: { ids: table.count("id", ""), stamps: table.count("stamp", "") } };
  }

  async show(node: string | null, limit: number): Promise<ShownState> {
    const table = await this.#table();
    return this.#read(table, () => {
      const nowMs = this.#options.clock.now();
      const shown = (kind: Kind): Aged => agedOf(table.newest(kind, [node ?? ""], limit), nowMs);
      return { ids: shown("id"), stamps: shown("stamp") };
    });
  }

  async purge(options: { readonly olderThanSeconds: number; readonly node: string | null }): Promise<number> {
    const table = await this.#table();
    const { olderThanSeconds, node } = options;
    return this.#write(table, () => {
      const beforeMs = this.#options.clock.now() - olderThanSeconds * 1000;
      const removed = table.purge(beforeMs, node);
      if (removed > 0) table.countPurge();
      return removed;
    });
  }

  async forget(node: string, { merge }: { readonly merge: boolean }): Promise<ForgottenNode> {
    const table = await this.#table();
    const known = this.#read(table, () => table.node(node));
    if (known?.holder != null && (await isHolderAlive(table.db.path, known.holder))) {
      throw new PetioleError("PET_USAGE", `a worker named ${node} runs: stop it first`);
    }
    return this.#write(table, () => {
      const merged = merge ? table.merge(node) : 0;
      const removed = table.forget(node);
      table.countPurge();
      return { found: removed > 0 || known !== null, merged };
    });
  }

  // ---- following

  #look(table: RevokedTable): void {
    const follower = this.#follower;
    if (follower === null || this.#seq === null || table.db.closed) return;
    const { node } = this.#options;
    const token = node === null ? null : (table.node(node)?.token ?? null);
    if (token !== null && token !== this.#token) this.#tellRival(token);
    const purges = table.purges();
    if (purges !== this.#purges) {
      this.#purges = purges;
      follower.onGap();
    }
    const last = table.lastSeq();
    if (last === this.#seq) return;
    const changed = this.shared ? table.after(this.#seq, this.#token) : [];
    this.#seq = last;
    if (changed.length === 0) return;
    const of = (kind: Kind): string[] => changed.filter((one) => one.kind === kind).map((one) => one.member);
    follower.onChange({ ids: of("id"), stamps: of("stamp") });
  }

  #tellRival(token: string): void {
    if (this.#rivals.has(token)) return;
    this.#rivals.add(token);
    this.#follower?.onRival(token);
  }

  /** Whose revokes count here. */
  #owners(): readonly string[] {
    const { node } = this.#options;
    return [...(node === null ? [] : [node]), ...(this.shared ? [""] : [])];
  }

  #table(): Promise<RevokedTable> {
    if (this.#stopped) return Promise.reject(closed(this.location));
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = null;
      throw operational(error);
    });
    return this.#opening;
  }

  async #open(): Promise<RevokedTable> {
    const { url, clock, prefix, ttlSeconds } = this.#options;
    const db = await Database.open(url, clock);
    return new RevokedTable(db, { place: prefix, clock, ttlSeconds });
  }

  #read<T>({ db }: RevokedTable, work: () => T): T {
    try {
      return db.read(work);
    } catch (error) {
      throw operational(error);
    }
  }

  async #write<T>({ db }: RevokedTable, work: () => T): Promise<T> {
    try {
      return await db.write(work);
    } catch (error) {
      throw this.#stopped ? closed(this.location) : operational(error);
    }
  }
}

function agedOf(rows: readonly { readonly member: string; readonly atMs: number }[], nowMs: number): Aged {
  return new Map(rows.map(({ member, atMs }) => [member, Math.max(0, (nowMs - atMs) / 1000)] as const));
}

function closed(location: string): PetioleError {
  return new PetioleError("PET_CLOSED", `the state DB ${location} was closed`);
}

function operational(error: unknown): Error {
  if (!(error instanceof SqliteError)) return error instanceof Error ? error : new Error(String(error));
  const code = error.refused ? "PET_BROKER_REFUSED" : "PET_BROKER_UNREACHABLE";
  return new OperationalError(error.message, { cause: error, code });
}

export function openSqliteStateDb(options: StateDbOptions): StateDb {
  return new SqliteStateDb(options);
}
