/** The page, and whether this process is alive and ready, for load balancers and orchestrators. */
import { readFile } from "node:fs/promises";
import type { FastifyInstance } from "fastify";
import { app } from "../app.ts";
import { db } from "../db/index.ts";

const FILES = [
  ["/", "index.html", "text/html; charset=utf-8"],
  ["/page.js", "page.js", "text/javascript; charset=utf-8"],
  ["/page.css", "page.css", "text/css; charset=utf-8"],
] as const;
const PUBLIC = new URL("../../public/", import.meta.url);
/** No task has it: asking for it reaches the result backend and finds nothing. */
const NO_TASK = "00000000-0000-0000-0000-000000000000";

export async function pageRoutes(server: FastifyInstance): Promise<void> {
  for (const [path, file, type] of FILES) {
    server.get(path, async (_request, reply) => {
      reply.header("content-security-policy", "default-src 'self'; img-src 'self' data:");
      return reply.type(type).send(await readFile(new URL(file, PUBLIC)));
    });
  }

  server.get("/livez", async () => ({ status: "ok" }));

  server.get("/readyz", async (_request, reply) => {
    try {
      await Promise.all([db.query("SELECT 1 AS one"), app.asyncResult(NO_TASK).state()]);
      return { status: "ok" };
    } catch (error) {
      server.log.warn(error);
      return reply.code(503).send({ status: "not ready" });
    }
  });
}
