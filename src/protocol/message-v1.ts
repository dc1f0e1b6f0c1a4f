/**
 * Task messages of protocol 1, read only: the body is one object that holds what protocol 2 has in headers. A chain stays
 * what it is there: nested `options.link` of the callbacks. Python: `celery.worker.strategy.proto1_to_proto2`.
 */
import type { TaskEmbed } from "./wire.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A protocol 1 message in protocol 2's shape. */
export interface Lifted {
  readonly headers: Record<string, unknown>;
  readonly content: readonly [args: unknown, kwargs: unknown, embed: { [K in keyof TaskEmbed]: unknown }];
}

/**
 * The body as protocol 1's, or null. Also the hybrid form: an object in the body, and the task's name in a header.
 *
 * @param name - the header `task`
 */
export function hybridBody(content: unknown, name: unknown): Fields | null {
  if (typeof content !== "object" || content === null || Array.isArray(content)) return null;
  const body = content as Fields;
  const named = typeof body["task"] === "string" || (typeof name === "string" && "args" in body);
  return named ? body : null;
}

/** Protocol 2's headers and body of a protocol 1 body. Headers that came with it stay, below the body's fields. */
export function liftProtocol1(body: Fields, headers: Fields): Lifted {
  const lifted: Record<string, unknown> = {
    ...headers,
    lang: body["lang"] ?? headers["lang"] ?? "py",
    task: body["task"] ?? headers["task"],
    id: body["id"] ?? headers["id"],
    shadow: body["shadow"] ?? null,
    eta: body["eta"] ?? null,
    expires: body["expires"] ?? null,
    group: body["group"] ?? body["taskset"] ?? null,
    group_index: body["group_index"] ?? null,
    retries: body["retries"] ?? 0,
    timelimit: body["timelimit"] ?? null,
    root_id: body["root_id"] ?? null,
    parent_id: body["parent_id"] ?? null,
    argsrepr: body["argsrepr"] ?? null,
    kwargsrepr: body["kwargsrepr"] ?? null,
    origin: body["origin"] ?? null,
  };
  return {
    headers: lifted,
    content: [
      body["args"] ?? [],
      body["kwargs"] ?? {},
      {
        callbacks: body["callbacks"] ?? null,
        errbacks: body["errbacks"] ?? null,
        chain: body["chain"] ?? null,
        chord: body["chord"] ?? null,
      },
    ],
  };
}
