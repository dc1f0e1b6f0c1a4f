import { startPostgres } from "../support/postgres.ts";
import { makeResultTables } from "../support/result-tables.ts";
import { backendConformance } from "./backend.ts";
import { sqlStore } from "./backend-sql.ts";

backendConformance("db+postgresql", { durable: true }, async () => {
  const server = await startPostgres();
  const url = `db+${await server.createDatabase("results")}`;
  await makeResultTables(url);
  return sqlStore({
    url,
    crash: () => server.kill(),
    restart: () => server.restart(),
    async cutWatchers() {
      await server.pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'",
      );
    },
    stop: () => server.stop(),
  });
});
