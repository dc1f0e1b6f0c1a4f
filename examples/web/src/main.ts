/** The web server's process. */
import { db } from "./db/index.ts";
import { migrate } from "./db/migrate.ts";
import { buildServer } from "./server.ts";
import { HOST, PORT } from "./settings.ts";

await migrate(db);
const server = await buildServer();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void server.close());
}
console.log(`listening on ${await server.listen({ host: HOST, port: PORT })}`);
