import { openBackend } from "../../src/backends/index.ts";
import { keyHash } from "../../src/sqlite/index.ts";
import { openTransport } from "../../src/transports/index.ts";
import { isSuccessText } from "../../src/transports/sqlite/results.ts";
import { backendOptions } from "../support/backend-options.ts";
import { sqliteRig } from "../support/sqlite-rig.ts";
import { type BackendStore, backendConformance } from "./backend.ts";

async function sqliteStore(): Promise<BackendStore> {
  const rig = await sqliteRig();
  const options = backendOptions(`${rig.url}?busy_timeout=0.1`);
  const first = await openBackend(options);
  await first.start(new AbortController().signal);
  await first.stop();
  const db = rig.raw();
  return {
    create: (overrides) => openBackend({ ...options, ...overrides }),
    transport: () => openTransport(rig.options()),
    raw: {
      async get(key) {
        const row = db.prepare("SELECT value FROM petiole_results WHERE key = ?").get(key);
        return row === undefined ? null : String(row["value"]);
      },
      async set(key, value) {
        db.prepare("DELETE FROM petiole_results WHERE key = ?").run(key);
        db.prepare("INSERT INTO petiole_results (hash, key, value, success) VALUES (?, ?, ?, ?)").run(
          keyHash(key),
          key,
          value,
          isSuccessText(value) ? 1 : 0,
        );
      },
      async ttl(key) {
        const row = db.prepare("SELECT expires FROM petiole_results WHERE key = ?").get(key);
        if (row === undefined) return -2;
        return row["expires"] === null ? -1 : Math.round(((row["expires"] as number) - Date.now()) / 1000);
      },
      // A file knows of nobody who looks at it.
      listening: async () => 0,
    },
    async endChordLeases() {
      db.exec("UPDATE petiole_chords SET claimed = 0 WHERE claimed IS NOT NULL");
    },
    advance: () => {},
    // Another process has the lock.
    crash: async () => db.exec("BEGIN IMMEDIATE"),
    restart: async () => db.exec("COMMIT"),
    stop: () => rig.stop(),
  };
}

backendConformance("sqlite", { durable: true }, sqliteStore);
