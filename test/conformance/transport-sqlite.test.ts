import { openTransport } from "../../src/transports/index.ts";
import { loseSqliteHolder, sqliteRig } from "../support/sqlite-rig.ts";
import { type TransportBroker, transportConformance } from "./transport.ts";

const CAPABILITIES = {
  parks: true,
  leases: false,
  atomicPublishMany: true,
  storesResults: true,
  durable: true,
};
/** How long a slot is kept for a task that was called. */
const LEASE_S = 1.5;

async function sqliteTransportBroker(): Promise<TransportBroker> {
  const rig = await sqliteRig();
  const first = await openTransport(rig.options());
  await first.start(new AbortController().signal);
  await first.stop();
  const db = rig.raw();
  const stored = (raw: string): string | Buffer => (raw.includes("\0") ? Buffer.from(raw) : raw);
  const read = (key: string): Record<string, unknown> | undefined =>
    db.prepare("SELECT value, expires FROM petiole_results WHERE key = ?").get(key);
  return {
    capabilities: CAPABILITIES,
    create: (role, { options, ...overrides } = {}) =>
      openTransport(
        rig.options({
          role,
          url: `${rig.url}?busy_timeout=0.3`,
          options: { lease: LEASE_S, ...options },
          ...overrides,
        }),
      ),
    raw: {
      async push(queue, raw, step = 0) {
        db.prepare(
          "INSERT INTO petiole_messages (queue, step, state, pos, raw) VALUES (?, ?, 0, 1 + (SELECT coalesce(max(pos), 0) FROM petiole_messages WHERE queue = ? AND step = ?), ?)",
        ).run(queue, step, queue, step, stored(raw));
      },
      list: async (queue) =>
        db
          .prepare(
            "SELECT CAST(raw AS BLOB) AS raw FROM petiole_messages WHERE queue = ? AND state = 0 ORDER BY step, pos",
          )
          .all(queue)
          .map((row) => Buffer.from(row["raw"] as Uint8Array).toString()),
      async broadcast(exchange, routingKey, raw) {
        db.prepare("INSERT INTO petiole_broadcasts (exchange, routing_key, at, raw) VALUES (?, ?, ?, ?)").run(
          exchange,
          routingKey,
          Date.now(),
          stored(raw),
        );
      },
      result: async (key) => (read(key) === undefined ? null : String(read(key)?.["value"])),
      resultBytes: async (key) => {
        const value = read(key)?.["value"];
        return value === undefined ? null : Buffer.from(value as Uint8Array);
      },
      ttl: async (key) => {
        const row = read(key);
        if (row === undefined) return -2;
        return row["expires"] === null ? -1 : Math.round(((row["expires"] as number) - Date.now()) / 1000);
      },
    },
    now: async () => Date.now(),
    advance: () => {},
    loseHolder: (lost) => loseSqliteHolder(rig, lost),
    leaseMs: LEASE_S * 1000,
    takeOverOptions: {},
    // Another process has the lock, longer than anybody waits for it.
    crash: async () => db.exec("BEGIN IMMEDIATE"),
    async restart() {
      // In the meantime so many broadcasts came that the ring went round.
      db.exec("UPDATE sqlite_sequence SET seq = seq + 100000 WHERE name = 'petiole_broadcasts'");
      db.exec("DELETE FROM petiole_broadcasts; COMMIT");
    },
    stop: () => rig.stop(),
  };
}

transportConformance("sqlite", CAPABILITIES, sqliteTransportBroker);
