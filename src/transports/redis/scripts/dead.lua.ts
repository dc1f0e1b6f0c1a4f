/** Scripts of an operator, about dead lists. */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";

/**
 * REQUEUE_DEAD: an entry of a dead list becomes a message at the back of a queue.
 * KEYS: dead list, target list, untold, texts of untold. ARGV: the entry as it is stored, the message.
 * Returns 1, or 0 when the entry is gone. The first look finds a target of a wrong type before anything is removed; LREM is
 * never refused for lack of memory, and what follows in a script then is not either.
 */
export const REQUEUE_DEAD: LuaScript = luaScript(
  "requeue-dead",
  `
redis.call('LLEN', KEYS[2])
if redis.call('LREM', KEYS[1], 1, ARGV[1]) == 0 then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
local sha = redis.sha1hex(ARGV[1])
redis.call('ZREM', KEYS[3], sha)
redis.call('HDEL', KEYS[4], sha)
return 1
`,
);
