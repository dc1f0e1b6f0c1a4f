/** The page, and whether this process is alive and ready, for load balancers and orchestrators. */
import { readFile } from "node:fs/promises";
import type { FastifyInstance } from "fastify";
import { unreachable } from "../health.ts";

const FILES = [
  ["/", "index.html", "text/html; charset=utf-8"],
  ["/page.js", "page.js", "text/javascript; charset=utf-8"],
  ["/page.css", "page.css", "text/css; charset=utf-8"],
] as const;
const PUBLIC = new URL("../../public/", import.meta.url);

export async function pageRoutes(server: FastifyInstance): Promise<void> {
  for (const [path, file, type] of FILES) {
    server.get(path, async (_request, reply) => {
      reply.header("content-security-policy", "default-src 'self'; img-src 'self' data:");
      return reply.type(type).send(await readFile(new URL(file, PUBLIC)));
    });
  }

  server.get("/livez", async () => ({ status: "ok" }));

  server.get("/readyz", async (_request, reply) => {
    const missing = await unreachable();
    if (missing.length === 0) return { status: "ok" };
    // Where and why is for the log alone.
    server.log.warn({ unreachable: missing }, "not ready");
    return reply.code(503).send({ status: "not ready", unreachable: missing.map(({ part }) => part) });
  });
}
