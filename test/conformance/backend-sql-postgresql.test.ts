import { startPostgres } from "../support/postgres.ts";
import { backendConformance } from "./backend.ts";
import { serverStore } from "./backend-sql.ts";

backendConformance("db+postgresql", { durable: true }, async () => {
  const server = await startPostgres();
  return serverStore(server, {
    async cutWatchers() {
      await server.pool.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'",
      );
    },
  });
});
