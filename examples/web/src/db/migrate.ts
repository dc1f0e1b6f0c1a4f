/** Creates the tables that are missing: `npm run migrate`, and each start of the web server. */
import { pathToFileURL } from "node:url";
import { start } from "../start.ts";
import type { Database } from "./database.ts";

/** Run in order, each once; add to the end. `{id}` and `{bytes}` are what the two databases name differently. */
const MIGRATIONS = [
  `CREATE TABLE users (id {id}, name TEXT NOT NULL, email TEXT NOT NULL UNIQUE)`,
  `CREATE TABLE instances (id {id}, name TEXT NOT NULL, processed BOOLEAN NOT NULL DEFAULT FALSE)`,
  `CREATE TABLE uploads (id {id}, filename TEXT NOT NULL, content {bytes} NOT NULL, sha256 TEXT)`,
  `CREATE TABLE submissions (number {id}, task_id TEXT NOT NULL UNIQUE, task TEXT NOT NULL, submitted_at TEXT NOT NULL)`,
];

const TYPES = {
  sqlite: { id: "INTEGER PRIMARY KEY", bytes: "BLOB" },
  postgres: { id: "INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY", bytes: "BYTEA" },
};

export async function migrate(database: Database): Promise<number> {
  const types = TYPES[database.kind];
  return database.transaction(async (tx) => {
    // Two servers may start at once. SQLite's transactions wait for each other anyway.
    if (database.kind === "postgres") await tx.query("SELECT pg_advisory_xact_lock(7352)");
    await tx.query("CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY)");
    const [row] = await tx.query<{ version: number | null }>(
      "SELECT MAX(version) AS version FROM migrations",
    );
    const done = row?.version ?? 0;
    for (const [index, sql] of MIGRATIONS.slice(done).entries()) {
      await tx.query(sql.replace("{id}", types.id).replace("{bytes}", types.bytes));
      await tx.query("INSERT INTO migrations (version) VALUES ($1)", [done + index + 1]);
    }
    return MIGRATIONS.length - done;
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await start(async () => {
    const { db } = await import("./index.ts");
    try {
      console.log(`${await migrate(db)} migrations applied`);
    } finally {
      await db.close();
    }
  });
}
