/** Scripts of a schedule in Redis. The lock is RedBeat's: a STRING with the holder's token. */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";

/**
 * KEYS: lock, counter of reigns. ARGV: who asks, ttl (ms). A token is `<reign> <who>`: none comes twice.
 * Returns the token, or what another has there, with "-" in front.
 */
export const TAKE: LuaScript = luaScript(
  "take schedule",
  `
local held = redis.call('GET', KEYS[1])
if held then return '-' .. held end
local token = redis.call('INCR', KEYS[2]) .. ' ' .. ARGV[1]
redis.call('SET', KEYS[1], token, 'PX', ARGV[2])
return token
`,
);

/** KEYS: lock. ARGV: token, ttl (ms); 0: let go. Returns whether it was ours. */
export const RENEW: LuaScript = luaScript(
  "renew schedule",
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then return redis.call('DEL', KEYS[1]) end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`,
);

/**
 * What has run. KEYS: lock, the two schedules, then entries. ARGV: token, then slot (ms), meta and score for each. An entry that was removed
 * stays so. Returns whether the lock was ours; if not, nothing was written.
 */
export const SAVE: LuaScript = luaScript(
  "save schedule",
  `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for i = 4, #KEYS do
  local at = (i - 4) * 3 + 2
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('HSET', KEYS[i], 'slot', ARGV[at], 'meta', ARGV[at + 1])
    redis.call('ZADD', KEYS[2], 'XX', ARGV[at + 2], KEYS[i])
    redis.call('ZADD', KEYS[3], 'XX', ARGV[at + 2], KEYS[i])
  end
end
return 1
`,
);
