/**
 * Scripts of unique tasks (`transports/unique-locks.ts`). A lock is a HASH with a TTL: `id` of its holder, `started`, and with
 * debounce `first` (ms, the first publish) and `due` (ms). Of a message that was replaced a key with a TTL tells.
 */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";

const NOW_MS = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
`;

/**
 * KEYS: lock, replaced key of this id, then lists. ARGV: id, ttl (ms), "1" = replace, debounce (ms), longest wait (ms) or "",
 * prefix of replaced keys, their ttl (s), then the text for each list.
 * Returns the id that holds the lock. A holder that publishes again has done so before.
 */
export const UNIQUE_PUBLISH: LuaScript = luaScript(
  "unique publish",
  `${NOW_MS}
local id, ttl, debounce = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local held = redis.call('HMGET', KEYS[1], 'id', 'started', 'first')
local holder = held[1]
if holder == id or redis.call('EXISTS', KEYS[2]) == 1 then return id end
local first = now
if holder then
  if ARGV[3] ~= '1' or held[2] then return holder end
  redis.call('SET', ARGV[6] .. holder, '1', 'EX', ARGV[7])
  first = tonumber(held[3]) or now
end
redis.call('DEL', KEYS[1])
local due = now
if debounce > 0 then
  due = now + debounce
  if ARGV[5] ~= '' then due = math.max(now, math.min(due, first + tonumber(ARGV[5]))) end
  redis.call('HSET', KEYS[1], 'id', id, 'first', string.format('%.0f', first), 'due', string.format('%.0f', due))
else
  redis.call('HSET', KEYS[1], 'id', id)
end
redis.call('EXPIRE', KEYS[1], math.ceil((ttl + due - now) / 1000))
for i = 3, #KEYS do redis.call('LPUSH', KEYS[i], ARGV[i + 5]) end
return id
`,
);

/**
 * KEYS: lock, replaced key. ARGV: id, ttl (ms), "1" = the lock ends here.
 * Returns "run", "replaced", or the time (ms) before which it is not to start. The HDEL of nothing makes the first write one
 * that is never refused for lack of memory.
 */
export const UNIQUE_CLAIM: LuaScript = luaScript(
  "unique claim",
  `${NOW_MS}
redis.call('HDEL', KEYS[1], '')
if redis.call('EXISTS', KEYS[2]) == 1 then return 'replaced' end
local held = redis.call('HMGET', KEYS[1], 'id', 'due')
if held[1] and held[1] ~= ARGV[1] then return 'run' end
if held[2] and tonumber(held[2]) > now then return held[2] end
if ARGV[3] == '1' then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'id', ARGV[1], 'started', '1')
  redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2]) / 1000))
end
return 'run'
`,
);

/** KEYS: lock, replaced key. ARGV: id. */
export const UNIQUE_RELEASE: LuaScript = luaScript(
  "unique release",
  `
redis.call('DEL', KEYS[2])
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`,
);
