/** Scripts of the result backend. */
import { type LuaScript, luaScript } from "../../redis/scripts.ts";
import { IS_SUCCESS } from "../../transports/redis/scripts/is-success.lua.ts";

/**
 * STORE: writes results and tells those who wait.
 * KEYS: one per result. ARGV: per result its time to live (s; 0 or less keeps it for ever), what is left alone ("1" = a
 * stored SUCCESS, "2" = whatever is stored), the value.
 * Returns the number written.
 * Counterpart: Celery's `GET`, then `MULTI; SETEX; PUBLISH; EXEC`, per result.
 *
 * A second run does no harm. What is stored and is no result, or no string, is overwritten.
 */
export const STORE: LuaScript = luaScript(
  "store",
  `
${IS_SUCCESS}local written = 0
for i = 1, #KEYS do
  local key, ttl, keep, value = KEYS[i], tonumber(ARGV[3 * i - 2]), ARGV[3 * i - 1], ARGV[3 * i]
  local stored = keep ~= '0' and redis.pcall('GET', key)
  if type(stored) ~= 'string' or not (keep == '2' or is_success(stored)) then
    if ttl > 0 then redis.call('SETEX', key, ttl, value) else redis.call('SET', key, value) end
    redis.call('PUBLISH', key, value)
    written = written + 1
  end
end
return written
`,
);

/**
 * READ: results, bounded.
 * KEYS: what to read. ARGV: bytes of one value at most, bytes of all together at most.
 * Returns per key: the value; nil when nothing is stored; a number: n >= 0 = it has n bytes, which is too much; -1 = ask
 * again, the reply is full; -2 = no string.
 * Counterpart: `MGET`.
 */
export const READ: LuaScript = luaScript(
  "read",
  `
local limit, budget, used, out = tonumber(ARGV[1]), tonumber(ARGV[2]), 0, {}
for i = 1, #KEYS do
  local size = redis.pcall('STRLEN', KEYS[i])
  if type(size) ~= 'number' then
    out[i] = -2
  elseif size == 0 then
    out[i] = false
  elseif size > limit then
    out[i] = size
  elseif used > 0 and used + size > budget then
    out[i] = -1
  else
    used = used + size
    out[i] = redis.call('GET', KEYS[i])
  end
end
return out
`,
);
