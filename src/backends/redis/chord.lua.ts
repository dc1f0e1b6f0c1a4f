/** Scripts of chords. Keys and values are Python's; what is ours alone is named in `keys.ts`. */
import { type LuaScript, luaScript } from "../../redis/scripts.ts";
import { IS_SUCCESS } from "../../transports/redis/scripts/is-success.lua.ts";

/**
 * COUNT: stores a result and counts a part of a chord; the last part claims it, by a size of 0: nobody else, in whatever
 * language, can find it complete after that. The 0 stays when the chord has ended, as long as results do: parts that are
 * delivered again, or sent again by what sent the chord, count for nothing.
 * KEYS: parts, extra count, size, ids seen, due chords, notes, result.
 * ARGV: task id, place ("" = none), part, seconds that keys live (0 = for ever), "1" = in order, how the id stands in a
 * part, group, note, lease (ms), then of the result: its time to live, "1" = leave a stored SUCCESS alone, the value ("" = none).
 * Returns the number of parts waited for when the caller has the chord now; 0 when not.
 * Counterpart: Celery's `MULTI; ZADD; ZCOUNT; GET; GET; EXPIRE…; EXEC`, after its write of the result.
 *
 * A part counts once for each task id, whatever its value. A part that Python's worker counted is found by its place.
 */
export const COUNT: LuaScript = luaScript(
  "chord-count",
  `
${IS_SUCCESS}local parts, extra, size, seen, due, notes, result = unpack(KEYS)
local id, place, part, ttl, ordered, mark = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == '1', ARGV[6]
if ARGV[12] ~= '' then
  local stored = ARGV[11] == '1' and redis.pcall('GET', result)
  if type(stored) ~= 'string' or not is_success(stored) then
    local keep = tonumber(ARGV[10])
    if keep > 0 then redis.call('SETEX', result, keep, ARGV[12]) else redis.call('SET', result, ARGV[12]) end
    redis.call('PUBLISH', result, ARGV[12])
  end
end
local own = tonumber(redis.call('GET', size) or '')
if own == 0 and redis.call('HEXISTS', notes, ARGV[7]) == 0 then return 0 end
local known = false
if ordered and place ~= '' then
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', parts, place, place)) do
    if string.find(string.sub(member, 1, #mark + 16), mark, 1, true) then known = true end
  end
else
  known = redis.call('HSET', seen, id, '1') == 0
end
if not known then
  if ordered then redis.call('ZADD', parts, place == '' and '+inf' or place, part) else redis.call('RPUSH', parts, part) end
end
if ttl > 0 then for i = 1, 4 do redis.call('EXPIRE', KEYS[i], ttl) end end
if not own then return 0 end
local wanted = own + (tonumber(redis.call('GET', extra) or '') or 0)
local count = ordered and redis.call('ZCARD', parts) or redis.call('LLEN', parts)
if count < wanted or own < 1 then return 0 end
if ttl > 0 then redis.call('SETEX', size, ttl, '0') else redis.call('SET', size, '0') end
local now = redis.call('TIME')
redis.call('ZADD', due, now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[9], ARGV[7])
redis.call('HSET', notes, ARGV[7], own .. ' ' .. ARGV[8])
return wanted
`,
);

/**
 * END: a chord is over, or is given back to wait for more.
 * KEYS: due chords, notes, size, then what else is deleted. ARGV: group, seconds that keys live, "1" = give it back.
 */
export const END: LuaScript = luaScript(
  "chord-end",
  `
if ARGV[3] == '1' then
  local own = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', '^%d+')
  if own and tonumber(ARGV[2]) > 0 then redis.call('SETEX', KEYS[3], ARGV[2], own) elseif own then redis.call('SET', KEYS[3], own) end
end
for i = 4, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
`,
);

/**
 * PUSH: messages of a chord's body go to their lists, and with the last of them the chord is over, in one step: whoever comes
 * later, or again, finds it so.
 * KEYS: due chords, notes, messages pushed, parts, extra count, ids seen.
 * ARGV: group, messages pushed before these, number of all, seconds that keys live, lease (ms), own db, db of the lists, then
 * (list, message)*.
 * Returns 1; 0 when another has ended it, or has pushed.
 * Nothing is written before all is known to be of its type; the first write is never refused for lack of memory, and what
 * follows in a script then is not either.
 */
export const PUSH: LuaScript = luaScript(
  "chord-push",
  `
local due, notes, pushed = KEYS[1], KEYS[2], KEYS[3]
local group, before, all, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local here, there = ARGV[6], ARGV[7]
if redis.call('HEXISTS', notes, group) == 0 then return 0 end
if (tonumber(redis.call('GET', pushed) or '') or 0) ~= before then return 0 end
if there ~= here then redis.call('SELECT', there) end
for at = 8, #ARGV, 2 do redis.call('LLEN', ARGV[at]) end
if there ~= here then redis.call('SELECT', here) end
local now = before + (#ARGV - 7) / 2
if now >= all then
  redis.call('HDEL', notes, group)
  redis.call('ZREM', due, group)
  redis.call('DEL', pushed, KEYS[4], KEYS[5], KEYS[6])
else
  if ttl > 0 then redis.call('SETEX', pushed, ttl, now) else redis.call('SET', pushed, now) end
  local time = redis.call('TIME')
  redis.call('ZADD', due, time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[5], group)
end
if there ~= here then redis.call('SELECT', there) end
for at = 8, #ARGV, 2 do redis.call('LPUSH', ARGV[at], ARGV[at + 1]) end
if there ~= here then redis.call('SELECT', here) end
return 1
`,
);

/**
 * EXTEND: a chord waits for one part more; once for each task, and not when it is over.
 * KEYS: extra count, size, ids seen. ARGV: seconds that they live (0 = for ever), task id.
 * Counterpart: Celery's `INCRBY {gid}.t 1`.
 */
export const EXTEND: LuaScript = luaScript(
  "chord-extend",
  `
local ttl = tonumber(ARGV[1])
if redis.call('GET', KEYS[2]) == '0' then return 0 end
if redis.call('HSET', KEYS[3], 'added ' .. ARGV[2], '1') == 0 then return 0 end
local count = (tonumber(redis.call('GET', KEYS[1]) or '') or 0) + 1
if ttl > 0 then redis.call('SETEX', KEYS[1], ttl, count) else redis.call('SET', KEYS[1], count) end
if ttl > 0 then redis.call('EXPIRE', KEYS[3], ttl) end
return count
`,
);

/**
 * OVERDUE: takes over chords whose lease has ended.
 * KEYS: due chords, notes. ARGV: lease (ms), how many at most.
 * Returns group, its size and its note with a space between, group, …
 */
export const OVERDUE: LuaScript = luaScript(
  "chord-overdue",
  `
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local out = {}
for _, group in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ms, 'LIMIT', 0, ARGV[2])) do
  local note = redis.call('HGET', KEYS[2], group)
  if note then
    redis.call('ZADD', KEYS[1], ms + ARGV[1], group)
    out[#out + 1] = group
    out[#out + 1] = note
  else
    redis.call('ZREM', KEYS[1], group)
  end
end
return out
`,
);
