import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDriver } from "../../src/sqlite/index.ts";
import { makeResultTables } from "../support/result-tables.ts";
import { backendConformance } from "./backend.ts";
import { sqlStore } from "./backend-sql.ts";

backendConformance("db+sqlite", { durable: true }, async () => {
  const dir = mkdtempSync(join(tmpdir(), "petiole-results-"));
  const file = join(dir, "results.db");
  const url = `db+sqlite:///${file}`;
  await makeResultTables(url);
  const other = (await loadDriver())(file, { timeout: 5000 });
  return sqlStore({
    url,
    // Another process has the lock.
    crash: async () => other.exec("BEGIN IMMEDIATE"),
    restart: async () => other.exec("COMMIT"),
    async stop() {
      other.close();
      rmSync(dir, { recursive: true, force: true });
    },
  });
});
