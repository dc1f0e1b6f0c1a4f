/** Replies of the server, as the state DB reads them (RESP2). */
import type { RedisArg } from "../../redis/connection.ts";
import type { RedisSession } from "../../redis/session.ts";

/** Of several commands in one write. @throws RedisError when one is refused */
export async function allReplies(
  session: RedisSession,
  commands: readonly (readonly [string, ...RedisArg[]])[],
): Promise<unknown[]> {
  const replies = await session.pipeline(commands);
  const refused = replies.find((reply) => reply instanceof Error);
  if (refused !== undefined) throw refused;
  return replies;
}

/** Of TIME: seconds since the epoch. */
export function serverSeconds(reply: unknown): number {
  const [seconds, micros] = Array.isArray(reply) ? reply : [];
  return Number(seconds) + Number(micros) / 1e6;
}

/** Of ZRANGE … WITHSCORES. */
export function pairsOf(reply: unknown): (readonly [member: string, score: number])[] {
  const pairs: (readonly [string, number])[] = [];
  if (!Array.isArray(reply)) return pairs;
  for (let i = 0; i + 1 < reply.length; i += 2) pairs.push([String(reply[i]), Number(reply[i + 1])]);
  return pairs;
}
