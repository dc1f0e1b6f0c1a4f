/** Scripts of messages that were given up and that nobody has been told of yet (`untold.ts`). */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";
import { TAKE_UNCHANGED } from "./settle.lua.ts";

/**
 * BURY: an entry that lost its holder too often goes to a dead list, and is noted as untold.
 * KEYS: unacked, unacked_index, unacked_lease, unacked_started, unacked_parked, dead list, untold, texts of untold.
 * ARGV: tag, sha1 of the value as it was read, the line for the dead list, its sha1, when another is to tell (s from now).
 * Returns 1, or 0 when the entry has changed or is gone.
 */
export const BURY: LuaScript = luaScript(
  "bury",
  `
local t = redis.call('TIME')
redis.call('LLEN', KEYS[6])
redis.call('ZCARD', KEYS[7])
redis.call('HLEN', KEYS[8])
${TAKE_UNCHANGED}redis.call('LPUSH', KEYS[6], ARGV[3])
redis.call('HSET', KEYS[8], ARGV[4], ARGV[3])
redis.call('ZADD', KEYS[7], t[1] + ARGV[5], ARGV[4])
return 1
`,
);

/**
 * UNTOLD: those whose teller has not said in time that it is done become the caller's to tell.
 * KEYS: untold, texts of untold. ARGV: when another is to tell (s from now), how many at most, then those that the caller tells
 * already: it has more time for them.
 * Returns (sha1, text)*.
 */
export const UNTOLD: LuaScript = luaScript(
  "untold",
  `
local t = redis.call('TIME')
local untilS, out = t[1] + ARGV[1], {}
for i = 3, #ARGV do redis.call('ZADD', KEYS[1], 'XX', untilS, ARGV[i]) end
for _, sha in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', t[1], 'LIMIT', 0, ARGV[2])) do
  local text = redis.call('HGET', KEYS[2], sha)
  if text then
    redis.call('ZADD', KEYS[1], 'XX', untilS, sha)
    out[#out + 1] = sha
    out[#out + 1] = text
  else
    redis.call('ZREM', KEYS[1], sha)
  end
end
return out
`,
);
