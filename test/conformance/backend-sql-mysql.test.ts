import { startMariadb } from "../support/mariadb.ts";
import { backendConformance } from "./backend.ts";
import { serverStore } from "./backend-sql.ts";

backendConformance("db+mysql", { durable: true }, async () => serverStore(await startMariadb()));
