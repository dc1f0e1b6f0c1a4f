/** The web server's process. */
import { DatabaseUnavailable } from "./db/database.ts";
import { db } from "./db/index.ts";
import { migrate } from "./db/migrate.ts";
import { unreachable } from "./health.ts";
import { buildServer } from "./server.ts";
import { HOST, PORT } from "./settings.ts";

const server = await buildServer();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void server.close());
}
try {
  await migrate(db);
  console.log(`listening on ${await server.listen({ host: HOST, port: PORT })}`);
  // The server runs without them: what needs them is answered with 503.
  for (const { part, reason, variable } of await unreachable()) {
    console.warn(`the ${part} does not answer: ${reason}. Start it, or set ${variable} to another one`);
  }
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
  await server.close();
}

/** What can be mended without reading code is told in one line. */
function explain(error: unknown): unknown {
  if (error instanceof DatabaseUnavailable) return error.message;
  if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") return error;
  return `port ${PORT} of ${HOST} is taken by another program: set PORT to another one, as in PORT=${PORT + 1} npm run web`;
}
