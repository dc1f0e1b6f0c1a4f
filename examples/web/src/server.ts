/** The web server, without listening: serve.ts does that. */
import multipart from "@fastify/multipart";
import fastify, { type FastifyInstance } from "fastify";
import { app } from "./app.ts";
import { db } from "./db/index.ts";
import { sendError } from "./errors.ts";
import { answerMethodNotAllowed } from "./plugins/method-not-allowed.ts";
import { apiRoutes } from "./routes/api.ts";
import { pageRoutes } from "./routes/pages.ts";
import { recordRoutes } from "./routes/records.ts";
import { taskRoutes } from "./routes/tasks.ts";

const UPLOAD_BYTES = 1024 * 1024;

export async function buildServer(): Promise<FastifyInstance> {
  const server = fastify({
    logger: { level: "warn" },
    routerOptions: { ignoreTrailingSlash: true },
    // Nothing is made to fit: text is no number, and what no schema names is refused.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
    frameworkErrors: (error, request, reply) => void sendError(error, request, reply),
  });
  server.setErrorHandler(sendError);
  answerMethodNotAllowed(server);
  await server.register(multipart, { limits: { fileSize: UPLOAD_BYTES, files: 1, fields: 10, parts: 11 } });
  await server.register(pageRoutes);
  await server.register(taskRoutes, { prefix: "/tasks" });
  await server.register(apiRoutes, { prefix: "/api" });
  await server.register(recordRoutes);
  server.addHook("onClose", async () => {
    await app.close();
    await db.close();
  });
  return server;
}
