/** Makes the tables, listens, and says what does not answer. */
import { db } from "./db/index.ts";
import { migrate } from "./db/migrate.ts";
import { unreachable } from "./health.ts";
import { buildServer } from "./server.ts";
import { HOST, PORT } from "./settings.ts";
import { StartError } from "./start.ts";

export async function serve(): Promise<void> {
  const server = await buildServer();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void server.close());
  }
  try {
    await migrate(db);
    console.log(`listening on ${await server.listen({ host: HOST, port: PORT })}`);
    // The server runs without them: what needs them is answered with 503.
    for (const { part, reason } of await unreachable()) {
      console.warn(`the ${part} does not answer: ${reason}`);
    }
  } catch (error) {
    await server.close();
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new StartError(
      `port ${PORT} of ${HOST} is taken by another program: set PORT to another one, as in PORT=${PORT + 1} npm run web`,
    );
  }
}
