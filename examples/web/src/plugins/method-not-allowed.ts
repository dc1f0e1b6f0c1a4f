/** A path that exists, asked with a method that it has not: 405 and not 404. */
import type { FastifyInstance } from "fastify";
import { RequestError } from "../errors.ts";

/** To be called before the routes are added. */
export function answerMethodNotAllowed(server: FastifyInstance): void {
  const routes: { readonly path: RegExp; readonly methods: readonly string[] }[] = [];
  server.addHook("onRoute", ({ url, method }) => {
    const path = new RegExp(`^${url.replace(/\/$/, "").replace(/:[^/]+/g, "[^/]+")}/?$`);
    routes.push({ path, methods: [method].flat() });
  });
  server.setNotFoundHandler((request, reply) => {
    const [path = ""] = request.url.split("?");
    const allowed = new Set(routes.filter((one) => one.path.test(path)).flatMap((one) => one.methods));
    if (allowed.size === 0) throw new RequestError(404, "path", `there is nothing at ${path}`);
    reply.header("allow", [...allowed].join(", "));
    throw new RequestError(
      405,
      "method",
      `${request.method} is not allowed here: use ${[...allowed].join(", ")}`,
    );
  });
}
