/**
 * The tables, all `petiole_…`, so that they may live in a database that has others, and how they come to be. A version is never
 * changed once it was released: what is new is a further step.
 *
 * `petiole_messages.state`: 0 waits, 1 held, 2 parked until `due`, 3 in the line of a limit. Of those that wait the lowest `pos`
 * of a queue and step is next.
 */
import { asBuffer, type Handle } from "./driver.ts";
import { SqliteError } from "./errors.ts";
import { keyHash } from "./key-hash.ts";

type Step = string | ((handle: Handle) => void);

const STEPS: readonly Step[] = [
  `
  CREATE TABLE petiole_messages (
    id INTEGER PRIMARY KEY, queue TEXT NOT NULL, step INTEGER NOT NULL, state INTEGER NOT NULL, pos INTEGER NOT NULL,
    losses INTEGER, redelivered INTEGER NOT NULL DEFAULT 0, started INTEGER NOT NULL DEFAULT 0,
    holder INTEGER, due INTEGER, raw NOT NULL);
  CREATE INDEX petiole_waiting ON petiole_messages (queue, step, pos) WHERE state = 0;
  CREATE INDEX petiole_held ON petiole_messages (holder) WHERE state = 1;
  CREATE INDEX petiole_parked ON petiole_messages (due) WHERE state = 2;
  CREATE TABLE petiole_holders (id INTEGER PRIMARY KEY, name TEXT NOT NULL, since INTEGER NOT NULL);
  CREATE TABLE petiole_untold (
    id INTEGER PRIMARY KEY, holder INTEGER, queue TEXT NOT NULL, reason TEXT NOT NULL, raw NOT NULL);
  CREATE TABLE petiole_bindings (
    exchange TEXT NOT NULL, routing_key TEXT NOT NULL, queue TEXT NOT NULL, type TEXT NOT NULL,
    PRIMARY KEY (exchange, routing_key, queue)) WITHOUT ROWID;
  CREATE TABLE petiole_mail (queue TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE petiole_broadcasts (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, exchange TEXT NOT NULL, routing_key TEXT NOT NULL, at INTEGER NOT NULL, raw NOT NULL);
  CREATE TABLE petiole_paused (queue TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE petiole_unique (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, started INTEGER NOT NULL, first INTEGER NOT NULL, due INTEGER NOT NULL,
    ends INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE petiole_replaced (id TEXT PRIMARY KEY, ends INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE petiole_limits (
    name TEXT PRIMARY KEY, task TEXT NOT NULL, key TEXT NOT NULL, bound INTEGER NOT NULL, per_second REAL,
    arrival REAL NOT NULL DEFAULT 0) WITHOUT ROWID;
  CREATE TABLE petiole_slots (
    name TEXT NOT NULL, id TEXT NOT NULL, tag TEXT NOT NULL, holder INTEGER, until INTEGER,
    PRIMARY KEY (name, id, tag)) WITHOUT ROWID;
  CREATE INDEX petiole_slots_holder ON petiole_slots (holder) WHERE holder IS NOT NULL;
  CREATE INDEX petiole_slots_called ON petiole_slots (until) WHERE until IS NOT NULL;
  CREATE TABLE petiole_waiters (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, id TEXT NOT NULL, since INTEGER NOT NULL, until REAL,
    message INTEGER);
  CREATE INDEX petiole_waiters_line ON petiole_waiters (name, seq);
  CREATE INDEX petiole_waiters_id ON petiole_waiters (name, id);
  CREATE TABLE petiole_results (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, value NOT NULL, success INTEGER NOT NULL,
    expires INTEGER);
  CREATE TABLE petiole_past (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, value NOT NULL);
  CREATE INDEX petiole_results_expire ON petiole_results (expires) WHERE expires IS NOT NULL;
  CREATE TABLE petiole_revoked (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, place TEXT NOT NULL, owner TEXT NOT NULL, kind TEXT NOT NULL,
    member TEXT NOT NULL, at REAL NOT NULL, by TEXT NOT NULL, UNIQUE (place, kind, member, owner));
  CREATE TABLE petiole_nodes (
    place TEXT NOT NULL, node TEXT NOT NULL, clock INTEGER NOT NULL DEFAULT 0, token TEXT, holder INTEGER, seen INTEGER,
    PRIMARY KEY (place, node)) WITHOUT ROWID;
  CREATE TABLE petiole_chords (
    name TEXT PRIMARY KEY, extra INTEGER NOT NULL DEFAULT 0, claimed INTEGER, note TEXT, expires INTEGER) WITHOUT ROWID;
  CREATE TABLE petiole_chord_parts (
    seq INTEGER PRIMARY KEY, chord TEXT NOT NULL, task TEXT NOT NULL, place INTEGER, value NOT NULL, UNIQUE (chord, task));
  `,
  hashResults,
  `
  CREATE TABLE petiole_schedulers (
    place TEXT PRIMARY KEY, holder INTEGER, name TEXT NOT NULL, token INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE petiole_schedule (
    place TEXT NOT NULL, entry TEXT NOT NULL, last REAL NOT NULL, count INTEGER NOT NULL, slot REAL,
    PRIMARY KEY (place, entry)) WITHOUT ROWID;
  `,
  `
  CREATE TABLE petiole_subscribers (id INTEGER PRIMARY KEY, holder INTEGER NOT NULL, exchange TEXT NOT NULL, routing_key TEXT NOT NULL);
  CREATE INDEX petiole_subscribers_exchange ON petiole_subscribers (exchange);
  CREATE INDEX petiole_subscribers_holder ON petiole_subscribers (holder);
  `,
];

/** Results are found by a short number made of their key: random texts made each write touch a page of its own. */
function hashResults(handle: Handle): void {
  handle.exec(`
    CREATE TABLE petiole_hashed (
      seq INTEGER PRIMARY KEY, hash INTEGER NOT NULL, key TEXT NOT NULL, value NOT NULL, success INTEGER NOT NULL,
      expires INTEGER)`);
  const next = handle.prepare("SELECT seq, key FROM petiole_results WHERE seq > ? ORDER BY seq LIMIT 1000");
  const copy = handle.prepare(
    "INSERT INTO petiole_hashed SELECT seq, ?, key, value, success, expires FROM petiole_results WHERE seq = ?",
  );
  for (let rows = next.all(-1); rows.length > 0; rows = next.all(rows.at(-1)?.["seq"] as number)) {
    for (const { seq, key } of rows) {
      copy.run(keyHash(key instanceof Uint8Array ? asBuffer(key).toString() : String(key)), seq as number);
    }
  }
  handle.exec(`
    DROP TABLE petiole_results;
    ALTER TABLE petiole_hashed RENAME TO petiole_results;
    CREATE INDEX petiole_results_hash ON petiole_results (hash);
    CREATE INDEX petiole_results_expire ON petiole_results (expires) WHERE expires IS NOT NULL`);
}

const META = "CREATE TABLE IF NOT EXISTS petiole_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID";

/** Brings the tables to this version; in one transaction, so that of several processes one does it. @throws SqliteError */
export function migrate(handle: Handle, path: string): void {
  if (versionOf(handle, path) === STEPS.length) return;
  handle.exec("BEGIN IMMEDIATE");
  try {
    handle.exec(META);
    for (const step of STEPS.slice(versionOf(handle, path))) {
      if (typeof step === "string") handle.exec(step);
      else step(handle);
    }
    handle.prepare("INSERT OR REPLACE INTO petiole_meta VALUES ('schema', ?)").run(STEPS.length);
    handle.exec("COMMIT");
  } catch (error) {
    handle.exec("ROLLBACK");
    throw error;
  }
}

function versionOf(handle: Handle, path: string): number {
  const meta = handle.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'petiole_meta'").get();
  if (meta === undefined) return 0;
  const stored = handle.prepare("SELECT value FROM petiole_meta WHERE name = 'schema'").get()?.["value"];
  const version = typeof stored === "number" ? stored : 0;
  if (version <= STEPS.length) return version;
  throw new SqliteError(
    `${JSON.stringify(path)} was written by a newer version of Petiole (its tables have version ${version}, this one knows ${STEPS.length}): update this process, or use another file`,
    { refused: true },
  );
}
