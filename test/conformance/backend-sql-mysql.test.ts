import { startMariadb } from "../support/mariadb.ts";
import { makeResultTables } from "../support/result-tables.ts";
import { backendConformance } from "./backend.ts";
import { sqlStore } from "./backend-sql.ts";

backendConformance("db+mysql", { durable: true }, async () => {
  const server = await startMariadb();
  const url = `db+${await server.createDatabase("results")}`;
  await makeResultTables(url);
  return sqlStore({
    url,
    crash: () => server.kill(),
    restart: () => server.restart(),
    stop: () => server.stop(),
  });
});
