/** Keys of the state on Redis. Those of one worker are celery-redis-statedb's: `<prefix><node>:revoked`, `:clock`, `:zrevoked`. */

export interface NodeKeys {
  /** Sorted set: id, epoch seconds. */
  readonly ids: string;
  readonly stamps: string;
  readonly clock: string;
  readonly blob: string;
  /** SHA-1 of the blob that we wrote last, and the number of its members. */
  readonly sum: string;
  /** A blob that could not be read. */
  readonly corrupt: string;
  /** Token of the worker that has the name. */
  readonly owner: string;
}

/** No node name: those have an `@`. */
const SHARED = "shared";

export class StateKeys {
  readonly prefix: string;
  readonly sharedIds: string;
  readonly sharedStamps: string;
  /** Counts the changes of the shared set. */
  readonly seq: string;
  /** Sorted set: node, epoch seconds. */
  readonly nodes: string;
  readonly channel: string;

  /** Pub/sub knows no databases: `db` keeps them apart. */
  constructor(prefix: string, db: number) {
    this.prefix = prefix;
    this.sharedIds = `${prefix}${SHARED}:revoked`;
    this.sharedStamps = `${prefix}${SHARED}:revoked_stamps`;
    this.seq = `${prefix}${SHARED}:seq`;
    this.nodes = `${prefix}nodes`;
    this.channel = `${prefix}${SHARED}:changes.${db}`;
  }

  node(node: string): NodeKeys {
    const begin = `${this.prefix}${node}`;
    return {
      ids: `${begin}:revoked`,
      stamps: `${begin}:revoked_stamps`,
      clock: `${begin}:clock`,
      blob: `${begin}:zrevoked`,
      sum: `${begin}:zrevoked_sum`,
      corrupt: `${begin}:zrevoked_corrupt`,
      owner: `${begin}:owner`,
    };
  }

  /** Glob of all keys, for SCAN. */
  get pattern(): string {
    return `${this.prefix.replaceAll(/[\\*?[\]]/g, String.raw`\$&`)}*`;
  }

  /** Whose key this is; null: of no worker. */
  nodeOf(key: string): string | null {
    if (!key.startsWith(this.prefix)) return null;
    const found = /^(.+):(?:revoked|revoked_stamps|clock|zrevoked)$/s.exec(key.slice(this.prefix.length));
    const node = found?.[1] ?? null;
    return node === SHARED ? null : node;
  }
}
