/** What is revoked, by whom it is kept (`owner`: a node's name, or "" for all), and what is known of the nodes. */
import type { Clock } from "../../base/clock.ts";
import { type Database, readText, type SqlValue } from "../../sqlite/index.ts";

export type Kind = "id" | "stamp";

export interface Revoked {
  readonly kind: Kind;
  readonly member: string;
  readonly atMs: number;
}

export interface Node {
  readonly node: string;
  readonly clock: number;
  readonly token: string | null;
  /** Its lock; null: it has stopped. */
  readonly holder: number | null;
  readonly seenMs: number | null;
}

export interface RevokedOptions {
  /** Several states in one file: the key prefix. */
  readonly place: string;
  readonly clock: Clock;
  readonly ttlSeconds: number | null;
}

type Row = Readonly<Record<string, SqlValue>>;

export class RevokedTable {
  readonly db: Database;
  readonly #options: RevokedOptions;

  constructor(db: Database, options: RevokedOptions) {
    this.db = db;
    this.#options = options;
  }

  /** A second time makes it new. */
  add(owner: string, { kind, member, atMs, by }: Revoked & { readonly by: string }): void {
    this.db.run(
      "INSERT OR REPLACE INTO petiole_revoked (place, owner, kind, member, at, by) VALUES (?, ?, ?, ?, ?, ?)",
      this.#options.place,
      owner,
      kind,
      member,
      atMs,
      by,
    );
  }

  has(kind: Kind, owners: readonly string[], member: string): boolean {
    const sql =
      "SELECT 1 FROM petiole_revoked WHERE place = ? AND owner = ? AND kind = ? AND member = ? AND at > ?";
    const { place } = this.#options;
    const since = this.#since();
    return owners.some((owner) => this.db.get(sql, place, owner, kind, member, since) !== undefined);
  }

  /** The newest first, each once. */
  newest(kind: Kind, owners: readonly string[], limit: number): readonly Revoked[] {
    const [one = "", two = one] = owners;
    const rows = this.db.all(
      "SELECT member, max(at) AS at, max(seq) AS seq FROM petiole_revoked WHERE place = ? AND kind = ? AND owner IN (?, ?) AND at > ? GROUP BY member ORDER BY 2 DESC, 3 DESC LIMIT ?",
      this.#options.place,
      kind,
      one,
      two,
      this.#since(),
      Math.min(limit, Number.MAX_SAFE_INTEGER),
    );
    return rows.map((row) => ({ kind, member: readText(row["member"]), atMs: row["at"] as number }));
  }

  count(kind: Kind, owner: string): number {
    const sql =
      "SELECT count(*) AS n FROM petiole_revoked WHERE place = ? AND owner = ? AND kind = ? AND at > ?";
    return (this.db.get(sql, this.#options.place, owner, kind, this.#since())?.["n"] ?? 0) as number;
  }

  lastSeq(): number {
    const row = this.db.get("SELECT seq FROM sqlite_sequence WHERE name = 'petiole_revoked'");
    return (row?.["seq"] ?? 0) as number;
  }

  /** Of what all share: what others have written since. */
  after(seq: number, by: string): readonly Revoked[] {
    const rows = this.db.all(
      "SELECT kind, member, at FROM petiole_revoked WHERE seq > ? AND place = ? AND owner = '' AND by <> ? ORDER BY seq",
      seq,
      this.#options.place,
      by,
    );
    return rows.map((row) => ({
      kind: row["kind"] === "id" ? "id" : "stamp",
      member: readText(row["member"]),
      atMs: row["at"] as number,
    }));
  }

  // ---- inside a write

  /** How many members, each once for each worker that had it; what only all share, once. */
  purge(beforeMs: number, node: string | null): number {
    const { place } = this.#options;
    const old = "place = ? AND at <= ?";
    if (node !== null) {
      return this.db.run(`DELETE FROM petiole_revoked WHERE ${old} AND owner = ?`, place, beforeMs, node);
    }
    const ofNodes = `SELECT kind || member FROM petiole_revoked WHERE ${old} AND owner <> ''`;
    const only = this.db.get(
      `SELECT count(*) AS n FROM petiole_revoked WHERE ${old} AND owner = '' AND kind || member NOT IN (${ofNodes})`,
      place,
      beforeMs,
      place,
      beforeMs,
    );
    const nodes = this.db.run(`DELETE FROM petiole_revoked WHERE ${old} AND owner <> ''`, place, beforeMs);
    this.db.run(`DELETE FROM petiole_revoked WHERE ${old}`, place, beforeMs);
    return nodes + (only?.["n"] as number);
  }

  /** Into what all share; how many it had not. */
  merge(node: string): number {
    const sql =
      "INSERT OR IGNORE INTO petiole_revoked (place, owner, kind, member, at, by) SELECT place, '', kind, member, at, by FROM petiole_revoked WHERE place = ? AND owner = ? ORDER BY seq";
    return this.db.run(sql, this.#options.place, node);
  }

  forget(node: string): number {
    const { place } = this.#options;
    const members = this.db.run("DELETE FROM petiole_revoked WHERE place = ? AND owner = ?", place, node);
    return members + this.db.run("DELETE FROM petiole_nodes WHERE place = ? AND node = ?", place, node);
  }

  dropExpired(): void {
    const { ttlSeconds, place } = this.#options;
    if (ttlSeconds === null) return;
    this.db.run("DELETE FROM petiole_revoked WHERE place = ? AND at <= ?", place, this.#since());
  }

  /** Others load anew. */
  countPurge(): void {
    this.db.run(
      "INSERT INTO petiole_meta VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET value = value + 1",
      this.#purgeName(),
    );
  }

  // ---- nodes

  purges(): number {
    return (this.db.get("SELECT value FROM petiole_meta WHERE name = ?", this.#purgeName())?.["value"] ??
      0) as number;
  }

  node(name: string): Node | null {
    const row = this.db.get(
      "SELECT * FROM petiole_nodes WHERE place = ? AND node = ?",
      this.#options.place,
      name,
    );
    return row === undefined ? null : nodeOf(row);
  }

  nodes(): readonly Node[] {
    return this.db
      .all("SELECT * FROM petiole_nodes WHERE place = ? ORDER BY node", this.#options.place)
      .map(nodeOf);
  }

  #purgeName(): string {
    return `purges of ${this.#options.place}`;
  }

  /** What is older has expired. */
  #since(): number {
    const { ttlSeconds, clock } = this.#options;
    return ttlSeconds === null ? Number.MIN_SAFE_INTEGER : clock.now() - ttlSeconds * 1000;
  }
}

function nodeOf(row: Row): Node {
  return {
    node: readText(row["node"]),
    clock: row["clock"] as number,
    token: row["token"] === null ? null : readText(row["token"]),
    holder: row["holder"] as number | null,
    seenMs: row["seen"] as number | null,
  };
}
