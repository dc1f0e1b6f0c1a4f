/** Scripts that pause and resume queues. FETCH reads what they write. */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";

/**
 * PAUSE. KEYS: the paused queues, then the resume list of each. ARGV: names. Returns how many were not paused.
 */
export const PAUSE: LuaScript = luaScript(
  "pause",
  `
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', t[2])
local count = 0
for i, queue in ipairs(ARGV) do
  count = count + redis.call('ZADD', KEYS[1], 'NX', now, queue)
  redis.call('DEL', KEYS[i + 1])
end
return count
`,
);

/**
 * RESUME. KEYS and ARGV as PAUSE, and in front of ARGV the seconds for which the resume lists stay: idle consumers of a paused
 * queue wait for that instead of its messages. ZREM comes first: it is never refused for lack of memory. Returns how many were
 * paused.
 */
export const RESUME: LuaScript = luaScript(
  "resume",
  `
local count = 0
for i = 2, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    count = count + 1
    redis.call('LPUSH', KEYS[i], '1')
    redis.call('EXPIRE', KEYS[i], ARGV[1])
  end
end
return count
`,
);
