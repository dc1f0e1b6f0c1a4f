/**
 * `redis://…`: keys and blob as celery-redis-statedb has them, written at every revoke, and a set that all workers share.
 *
 * | commands | pub/sub  | state | the follower is told |
 * |----------|----------|-------|----------------------|
 * | live     | live     | sound | `onGap` when it was not |
 * | either is not       || away  | `onAway` when it was sound |
 */
import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { OperationalError } from "../../errors.ts";
import type { RedisArg, RedisConnection } from "../../redis/connection.ts";
import { RedisPubSub } from "../../redis/pubsub.ts";
import { parseServerUrl } from "../../redis/sentinel.ts";
import { closedError, RedisSession, type SessionOptions } from "../../redis/session.ts";
import type { RedisAddress } from "../../redis/url.ts";
import type {
  Aged,
  Checkpoint,
  Follower,
  ForgottenNode,
  Revocations,
  ShownState,
  StateDb,
  StateDbOptions,
  StateOverview,
  StateSnapshot,
} from "../state-db.ts";
import { ownBlob, type ReadBlob, readBlob, writeBlob } from "./blob-store.ts";
import { type Change, changeText, readChange } from "./changes.ts";
import { type NodeKeys, StateKeys } from "./keys.ts";
import { loadSets } from "./load.ts";
import * as operate from "./operate.ts";
import { allReplies } from "./replies.ts";
import { BLOB_SUM, CHECKPOINT, CLAIM, RECORD, RELEASE } from "./scripts.lua.ts";

/** Members of one call: a script must not hold the server up. */
const PAGE = 1_000;
/** A worker that is not heard of for three checkpoints has left its name. */
const LEASE_MS = 90_000;
const BLOB_ATTEMPTS = 5;

export class RedisStateDb implements StateDb {
  readonly location: string;
  readonly shared: boolean;
  readonly #options: StateDbOptions;
  readonly #address: RedisAddress;
  readonly #keys: StateKeys;
  /** null: a client. */
  readonly #own: NodeKeys | null;
  readonly #session: RedisSession;
  readonly #pubsub: RedisPubSub | null;
  readonly #token = `${hostname()}:${process.pid}:${randomUUID()}`;
  #follower: Follower | null = null;
  #hearing = false;
  #sound = false;
  /** Others were told once that the name is taken. */
  #claimed = false;
  #rivals = new Set<string>();
  /** Of the last change that was seen; null: nothing was loaded yet. */
  #seq: number | null = null;
  #heardSeq = 0;
  /** The server's at the last checkpoint: what was published before it has arrived by the next one. */
  #checkedSeq = 0;
  /** What our blob replaces. */
  #blobSha: string | null = null;
  #stopped = false;

  constructor(options: StateDbOptions) {
    const { clock, logger, clientName, url, node, prefix } = options;
    const address = parseServerUrl(url);
    this.#options = options;
    this.#address = address;
    this.location = address.redacted;
    this.shared = options.shared;
    this.#keys = new StateKeys(prefix, address.db);
    this.#own = node === null ? null : this.#keys.node(node);
    const common: SessionOptions = { address, clock, logger, clientName, protocol: 2 };
    this.#session = new RedisSession({
      ...common,
      scripts: node === null ? [RECORD] : [RECORD, CLAIM, CHECKPOINT, BLOB_SUM],
      keepTrying: node !== null,
      reclaim: (connection) => this.#claim(connection),
      onState: () => this.#onState(),
    });
    this.#pubsub =
      node === null
        ? null
        : new RedisPubSub({
            ...common,
            onState: (state) => {
              this.#hearing = state === "live";
              this.#onState();
            },
          });
  }

  follow(follower: Follower): void {
    this.#follower = follower;
  }

  async start(signal: AbortSignal): Promise<void> {
    for (const warning of this.#address.warnings)
      this.#options.logger.warn({ warning }, "URL of the state DB");
    const heard = this.#pubsub?.open({
      channel: this.#keys.channel,
      listener: (payload) => this.#hear(payload),
    }).ready;
    await Promise.all([this.#session.start(signal), heard]);
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#follower = null;
    if (this.#own !== null && this.#session.state === "live") {
      const call = { keys: [this.#own.owner], args: [this.#token] };
      await this.#session.script(RELEASE, call).catch((err: unknown) => {
        this.#options.logger.debug({ err }, "the name in the state DB was not given back: it ends by itself");
      });
    }
    this.#pubsub?.stop();
    this.#session.stop();
  }

  // ---- the set

  async revoke(revoked: Revocations): Promise<void> {
    await this.#reachable();
    const members = [
      ...revoked.ids.map((text) => ({ text, isId: true })),
      ...revoked.stamps.map((text) => ({ text, isId: false })),
    ];
    const own = this.#own ?? this.#keys.node("");
    const { shared, ttlSeconds } = this.#options;
    const keys = [own.ids, own.stamps, this.#keys.sharedIds, this.#keys.sharedStamps, this.#keys.seq];
    for (let from = 0; from < members.length; from += PAGE) {
      const page = members.slice(from, from + PAGE);
      const ids = page.filter(({ isId }) => isId).length;
      const head: RedisArg[] = [
        this.#own === null ? 0 : 1,
        shared ? 1 : 0,
        this.#keys.channel,
        ttlSeconds ?? 0,
        ids,
        "",
      ];
      await this.#session.script(RECORD, { keys, args: [...head, ...page.map(({ text }) => text)] });
    }
  }

  async load(max: number): Promise<StateSnapshot> {
    await this.#reachable();
    this.#seq = null;
    const own = this.#own;
    const { shared, ttlSeconds } = this.#options;
    const [found, written] = await Promise.all([
      loadSets(this.#session, this.#keys, { own, shared, ttlSeconds, max }),
      own === null ? null : ownBlob(this.#session, own),
    ]);
    const { ids, stamps, clock, seq, nowSeconds } = found;
    let { complete } = found;
    let all: Aged = ids;
    if (own !== null) {
      // As many as our own blob had: nobody has taken any out of the sets since.
      if (written !== null && (ids.size >= written.count || !complete)) this.#blobSha = written.sha;
      else all = await this.#withBlob(own, ids, nowSeconds);
    }
    if (all.size > max || stamps.size > max) complete = false;
    this.#seq = Math.max(seq, this.#heardSeq);
    return { ids: newest(all, max), stamps: newest(stamps, max), clock, complete };
  }

  /** What only the blob has is of a Python worker: it goes into the journal. */
  async #withBlob(own: NodeKeys, ids: ReadonlyMap<string, number>, nowSeconds: number): Promise<Aged> {
    const { logger } = this.#options;
    const blob = await readBlob(this.#session, own, { nowSeconds, logger });
    const first = this.#blobSha === null || this.#blobSha !== blob.sha;
    this.#blobSha = blob.sha;
    const unknown = first ? [...blob.ids.keys()].filter((id) => !ids.has(id)) : [];
    if (unknown.length === 0) return ids;
    // The journal may hold them beyond what was loaded.
    const known = new Set((await this.lookUp({ ids: unknown, stamps: [] })).ids);
    const fresh = unknown.filter((id) => !known.has(id));
    await this.revoke({ ids: fresh, stamps: [] });
    return new Map(
      [...fresh.map((id) => [id, blob.ids.get(id) ?? 0] as const), ...ids].sort((a, b) => b[1] - a[1]),
    );
  }

  async lookUp(asked: Revocations): Promise<Revocations> {
    await this.#reachable();
    const own = this.#own;
    const idKeys = [...(own ? [own.ids] : []), ...(this.shared ? [this.#keys.sharedIds] : [])];
    const stampKeys = [...(own ? [own.stamps] : []), ...(this.shared ? [this.#keys.sharedStamps] : [])];
    const [ids, stamps] = await Promise.all([
      this.#found(idKeys, asked.ids),
      this.#found(stampKeys, asked.stamps),
    ]);
    return { ids, stamps };
  }

  async #found(keys: readonly string[], members: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (let from = 0; from < members.length; from += PAGE) {
      const page = members.slice(from, from + PAGE);
      const replies = await allReplies(
        this.#session,
        keys.map((key) => ["zmscore", key, ...page]),
      );
      found.push(...page.filter((_, index) => replies.some((reply) => (reply as unknown[])[index] !== null)));
    }
    return found;
  }

  // ---- checkpoints and the name

  async checkpoint(state: Checkpoint): Promise<"done" | "fenced"> {
    const own = this.#own;
    if (own === null) throw new TypeError("a client has no checkpoints");
    const { node, ttlSeconds, shared, clock, logger } = this.#options;
    const { sharedIds, sharedStamps, seq, nodes } = this.#keys;
    const sets = [own.ids, own.stamps, sharedIds, sharedStamps];
    const keys = [own.owner, nodes, own.clock, own.blob, ...sets, seq, own.sum];
    let { ids } = state;
    for (let attempt = 0; attempt < BLOB_ATTEMPTS; attempt += 1) {
      const blob = ids === null ? null : await writeBlob(ids);
      const args: RedisArg[] = [
        this.#token,
        node ?? "",
        LEASE_MS,
        state.clock,
        ttlSeconds ?? 0,
        shared ? 1 : 0,
      ];
      args.push(blob === null ? 0 : 1, this.#blobSha ?? "", blob?.bytes ?? "", blob?.sum ?? "");
      const reply = await this.#session.script(CHECKPOINT, { keys, args });
      if (reply === "fenced") return "fenced";
      if (reply !== "changed") {
        if (blob !== null) this.#blobSha = blob.sha;
        this.#checkSeq(Number(reply));
        return "done";
      }
      const theirs: ReadBlob = await readBlob(this.#session, own, { nowSeconds: clock.now() / 1000, logger });
      this.#blobSha = theirs.sha;
      ids = new Map([...theirs.ids, ...(ids ?? [])]);
    }
    throw new OperationalError(`${this.location}: the state of ${node} is written by others all the time`);
  }

  /** A change that was published before the last checkpoint has arrived by now, or never will. */
  #checkSeq(seq: number): void {
    const missed = this.#seq !== null && this.#checkedSeq > this.#seq;
    this.#checkedSeq = seq;
    if (missed) this.#follower?.onGap();
  }

  async #claim(connection: RedisConnection): Promise<void> {
    const { node } = this.#options;
    if (this.#own === null || node === null) return;
    const told = changeText({ kind: "claimed", node, token: this.#token });
    const force = this.#claimed ? 0 : 1;
    await connection.script(CLAIM, {
      keys: [this.#own.owner, this.#keys.nodes],
      args: [this.#token, node, LEASE_MS, force, this.#keys.channel, told],
    });
    this.#claimed = true;
  }

  // ---- following

  #onState(): void {
    const sound = this.#session.state === "live" && this.#hearing;
    if (sound === this.#sound) return;
    this.#sound = sound;
    if (sound) this.#follower?.onGap();
    else this.#follower?.onAway();
  }

  #hear(payload: string): void {
    const change = readChange(payload);
    if (change === null || this.#stopped) return;
    if (change.kind === "claimed" || change.kind === "held") return this.#hearOfName(change);
    this.#heardSeq = change.seq;
    const expected = this.#seq === null || change.seq <= this.#seq + 1;
    if (this.#seq !== null && expected) this.#seq = Math.max(this.#seq, change.seq);
    if (!this.shared) return;
    if (change.kind === "reload" || !expected) this.#follower?.onGap();
    if (change.kind === "revoked") this.#follower?.onChange(change);
  }

  /** Whoever hears that its name was taken is alive: now both know. */
  #hearOfName(change: Extract<Change, { readonly kind: "claimed" | "held" }>): void {
    const { node, token } = change;
    if (node !== this.#options.node || token === this.#token || this.#rivals.has(token)) return;
    this.#rivals.add(token);
    this.#follower?.onRival(token.split(":").slice(0, 2).join(" process "));
    if (change.kind !== "claimed") return;
    const told = changeText({ kind: "held", node, token: this.#token });
    this.#session.command("publish", [this.#keys.channel, told]).catch((err: unknown) => {
      this.#options.logger.debug({ err }, "another worker of this name could not be told");
    });
  }

  // ---- for operators

  async overview(): Promise<StateOverview> {
    await this.#reachable();
    return operate.overview(this.#session, this.#keys);
  }

  async show(node: string | null, limit: number): Promise<ShownState> {
    await this.#reachable();
    return operate.show(this.#session, this.#keys, { node, limit });
  }

  async purge(options: { readonly olderThanSeconds: number; readonly node: string | null }): Promise<number> {
    await this.#reachable();
    return operate.purge(this.#session, this.#keys, { ...options, logger: this.#options.logger });
  }

  async forget(node: string, options: { readonly merge: boolean }): Promise<ForgottenNode> {
    await this.#reachable();
    return operate.forget(this.#session, this.#keys, { ...options, node, logger: this.#options.logger });
  }

  /** A worker is told at once that the store is away; a client has time to connect. */
  #reachable(): Promise<void> {
    if (this.#stopped) return Promise.reject(closedError(this.#address));
    return this.#own === null ? this.#session.live(null) : Promise.resolve();
  }
}

/** The last `max`: they are the newest. */
function newest(aged: Aged, max: number): Aged {
  return aged.size <= max ? aged : new Map([...aged].slice(aged.size - max));
}

export function openRedisStateDb(options: StateDbOptions): StateDb {
  return new RedisStateDb(options);
}
