/**
 * Scripts of limits over all workers (`transports/limits.ts`).
 *
 * Keys of a limit, `<base>:<part>:<name>`:
 * - `h` HASH delivery tag -> id that runs. A holder counts while its tag has a lease that has not ended, so that none needs
 *   renewing of its own and none can leak;
 * - `c` ZSET id that was called -> end of its time, s;
 * - `w` ZSET id that waits -> since, s; `t` HASH id that waits -> tags of its messages in `unacked`, with spaces between;
 * - `a` STRING with TTL: the theoretical arrival time of the next token, s (GCRA: a token bucket in one number);
 * - `k` ZSET id that waits for its moment -> that moment, s; `s` ZSET the same ids -> since.
 * Of all limits: HASH name -> what it is, ZSET name -> last look, for those that have a line.
 *
 * A message that waits is an entry of `unacked` as a parked one is: should nobody ever look at its limit again, a sweep or
 * kombu puts it back after the visibility timeout.
 */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";
import { IS_SUCCESS } from "./is-success.lua.ts";

/** KEYS of all: unacked, unacked_index, unacked_lease, limits, limits with a line. ARGV of all: base, global_keyprefix, sep, lease (s). */
const COMMON = `
local U, I, L, G, Q = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local base, keyprefix, sep, patience = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local redis_call = redis.call
local t = redis_call('TIME')
local now = t[1] .. '.' .. string.format('%06d', t[2])
local now_n = tonumber(now)
redis_call('ZREM', L, '')
local function key(part, name) return base .. ':' .. part .. ':' .. name end

local function used(name)
  local H, C = key('h', name), key('c', name)
  local ids, count = {}, 0
  local holders = redis_call('HGETALL', H)
  local tags = {}
  for i = 1, #holders, 2 do tags[#tags + 1] = holders[i] end
  for first = 1, #tags, 1000 do
    local last = math.min(first + 999, #tags)
    local leases = redis_call('ZMSCORE', L, unpack(tags, first, last))
    for i = first, last do
      local lease, id = leases[i - first + 1], holders[2 * i]
      if not lease or tonumber(lease) <= now_n then
        redis_call('HDEL', H, tags[i])
      elseif not ids[id] then
        ids[id] = true
        count = count + 1
      end
    end
  end
  local called = redis_call('ZRANGE', C, 0, -1, 'WITHSCORES')
  for i = 1, #called, 2 do
    if tonumber(called[i + 1]) <= now_n then
      redis_call('ZREM', C, called[i])
    elseif not ids[called[i]] then
      ids[called[i]] = true
      count = count + 1
    end
  end
  return count, ids
end

-- The list that an entry of unacked goes back to, and its message.
local function home(tag, value)
  local step = string.match(tag, '^ts1:p:(%d+):')
  local raw, text = string.match(value, '^%[(.*),"",(".*")%]$')
  local ok, queue = pcall(cjson.decode, '[' .. (text or '') .. ']')
  if not step or not raw or not ok then return nil end
  local list = keyprefix .. queue[1]
  if step ~= '0' then list = list .. sep .. step end
  if type(redis.pcall('LLEN', list)) ~= 'number' then return nil end
  return list, raw
end

-- Calls those whose turn it is. Returns what is in use then; nil when nobody waits, which is found out without counting.
local function advance(name, limit)
  local W, T = key('w', name), key('t', name)
  if redis_call('ZCARD', W) == 0 then
    redis_call('ZREM', Q, name)
    if redis_call('EXISTS', key('h', name), key('c', name)) == 0 then redis_call('HDEL', G, name) end
    return nil
  end
  if not limit then
    local ok, record = pcall(cjson.decode, redis_call('HGET', G, name) or '')
    limit = ok and type(record) == 'table' and tonumber(record.limit) or 0
  end
  local count, ids = used(name)
  local called = {}
  while count < limit do
    local id = redis_call('ZRANGE', W, 0, 0)[1]
    if not id then break end
    local tags = redis_call('HGET', T, id) or ''
    redis_call('ZREM', W, id)
    redis_call('HDEL', T, id)
    for tag in string.gmatch(tags, '%S+') do
      -- Without a value a sweep has put it back: it will ask again.
      local value = redis_call('HGET', U, tag)
      local list, raw
      if value then list, raw = home(tag, value) end
      if list then
        redis_call('HDEL', U, tag)
        redis_call('ZREM', I, tag)
        called[#called + 1] = {list, raw}
        if not ids[id] then
          ids[id] = true
          count = count + 1
          redis_call('ZADD', key('c', name), string.format('%.6f', now_n + patience), id)
        end
      end
    end
  end
  for i = #called, 1, -1 do redis_call('RPUSH', called[i][1], called[i][2]) end
  if redis_call('ZCARD', W) == 0 then
    redis_call('ZREM', Q, name)
    if count == 0 then redis_call('HDEL', G, name) end
  end
  return count, ids
end
`;

/**
 * ADMIT: may a held message start? If not, it waits in the broker from now on.
 * KEYS besides: unacked_parked. ARGV besides: tag, parked tag, id, name of the concurrency limit or "", its slots, its record,
 * name of the rate limit or "", seconds for each token, burst, its record.
 * Returns "run", "gone", "c" (waits in a line), or the time (s) that it waits for. A repeated call answers the same.
 */
export const ADMIT: LuaScript = luaScript(
  "admit",
  `${COMMON}
local P = KEYS[6]
local tag, ptag, id, c, r = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[11]
if not redis_call('ZMSCORE', L, tag)[1] then
  if redis_call('HEXISTS', U, ptag) == 0 then return 'gone' end
  return redis_call('ZMSCORE', P, ptag)[1] or 'c'
end
local slot = true
if c ~= '' then
  if redis_call('HGET', key('h', c), tag) == id then return 'run' end
  local limit = tonumber(ARGV[9])
  local count, ids = advance(c, limit)
  if not count and redis_call('HLEN', key('h', c)) + redis_call('ZCARD', key('c', c)) >= limit then
    count, ids = used(c)
  end
  slot = not count or count < limit or ids[id]
end

local function wait(at)
  local value = redis_call('HGET', U, tag)
  redis_call('HDEL', U, tag)
  redis_call('ZREM', I, tag)
  redis_call('ZREM', L, tag)
  redis_call('HSET', U, ptag, value)
  redis_call('ZADD', I, at, ptag)
end
if not slot then
  wait(now)
  redis_call('ZADD', key('w', c), 'NX', now, id)
  -- Of a message that was sent twice, since its sender did not know better, both come back.
  local first = redis_call('HGET', key('t', c), id)
  redis_call('HSET', key('t', c), id, first and first .. ' ' .. ptag or ptag)
  redis_call('ZADD', Q, 'NX', now, c)
  redis_call('HSET', G, c, ARGV[10])
  return 'c'
end

if r ~= '' then
  local K, S, A = key('k', r), key('s', r), key('a', r)
  local at = redis_call('ZMSCORE', K, id)[1]
  local first = not at
  if first then
    local interval, burst = tonumber(ARGV[12]), tonumber(ARGV[13])
    local arrival = math.max(tonumber(redis_call('GET', A) or '0'), now_n)
    at = string.format('%.6f', arrival - (burst - 1) * interval)
    local following = arrival + interval
    redis_call('SET', A, string.format('%.6f', following), 'PX', math.ceil((following - now_n) * 1000) + 1000)
  end
  if tonumber(at) > now_n then
    if first then
      -- Of messages that somebody else took.
      for _, old in ipairs(redis_call('ZRANGEBYSCORE', K, '-inf', now_n - 86400, 'LIMIT', 0, 10)) do
        redis_call('ZREM', K, old)
        redis_call('ZREM', S, old)
      end
      redis_call('ZADD', K, at, id)
      redis_call('ZADD', S, now, id)
      redis_call('HSET', G, r, ARGV[14])
    end
    wait(at)
    redis_call('ZADD', P, at, ptag)
    if c ~= '' and redis_call('ZREM', key('c', c), id) == 1 then advance(c) end
    return at
  end
  redis_call('ZREM', K, id)
  redis_call('ZREM', S, id)
  if redis_call('ZCARD', K) == 0 then redis_call('HDEL', G, r) end
end
if c ~= '' then
  redis_call('ZREM', key('c', c), id)
  redis_call('HSET', key('h', c), tag, id)
  redis_call('HSET', G, c, ARGV[10])
end
return 'run'
`,
);

/**
 * FREE: a task that was admitted, or called and is not to run, gives back what it has; the next in the line is called.
 * ARGV besides: tag, id, name of the concurrency limit or "", name of the rate limit or "".
 */
export const FREE: LuaScript = luaScript(
  "free",
  `${COMMON}
local tag, id, c, r = ARGV[5], ARGV[6], ARGV[7], ARGV[8]
if r ~= '' then
  redis_call('ZREM', key('k', r), id)
  redis_call('ZREM', key('s', r), id)
  if redis_call('ZCARD', key('k', r)) == 0 then redis_call('HDEL', G, r) end
end
if c ~= '' then
  redis_call('HDEL', key('h', c), tag)
  redis_call('ZREM', key('c', c), id)
  advance(c)
end
return 1
`,
);

/**
 * END: acks a message that has a slot, frees it, calls the next, and stores the result, in one step. Of one that was acked
 * early only the slot is left.
 * KEYS besides: unacked_started. ARGV besides: tag, id, name of the concurrency limit, then for a result: its db or "" for this
 * one, "1" = leave a stored SUCCESS alone, key, ttl, value.
 * Returns 1, or 0 when the hold had ended.
 */
export const END: LuaScript = luaScript(
  "end",
  `${COMMON}${IS_SUCCESS}
local tag, id, c = ARGV[5], ARGV[6], ARGV[7]
redis_call('HDEL', U, tag)
local held = redis_call('ZREM', I, tag)
redis_call('ZREM', L, tag)
redis_call('SREM', KEYS[6], tag)
redis_call('HDEL', key('h', c), tag)
redis_call('ZREM', key('c', c), id)
advance(c)
if ARGV[10] then
  if ARGV[8] ~= '' then redis_call('SELECT', ARGV[8]) end
  local name, ttl, value = ARGV[10], tonumber(ARGV[11]), ARGV[12]
  local stored = ARGV[9] == '1' and redis.pcall('GET', name)
  if type(stored) ~= 'string' or not is_success(stored) then
    if ttl > 0 then redis_call('SETEX', name, ttl, value) else redis_call('SET', name, value) end
    redis_call('PUBLISH', name, value)
  end
end
return held
`,
);

/** LOOK: calls those whose holders were lost. Each line once a second at most in the whole fleet, 64 of them in one call. */
export const LOOK: LuaScript = luaScript(
  "look",
  `${COMMON}
for _, name in ipairs(redis_call('ZRANGEBYSCORE', Q, '-inf', now_n - 1, 'LIMIT', 0, 64)) do
  redis_call('ZADD', Q, now, name)
  advance(name)
end
return 1
`,
);

/**
 * READ: limits that are in use. ARGV besides: waiters of each at most, limits at most.
 * Returns server time (s), then (name, record, ids that run or were called, number that waits, (id, since, until or "")*,
 * theoretical arrival time or "")*. Limits that nobody uses any more are forgotten.
 */
export const READ: LuaScript = luaScript(
  "read-limits",
  `${COMMON}
local most, left = tonumber(ARGV[5]), tonumber(ARGV[6])
local out = {now}
local all = redis_call('HGETALL', G)
for i = 1, #all, 2 do
  local name = all[i]
  local holders, waiting, waiters, arrival = {}, 0, {}, ''
  if string.sub(name, 1, 2) == 'c:' then
    local _, ids = used(name)
    for id in pairs(ids) do holders[#holders + 1] = id end
    table.sort(holders)
    waiting = redis_call('ZCARD', key('w', name))
    local first = redis_call('ZRANGE', key('w', name), 0, most - 1, 'WITHSCORES')
    for j = 1, #first, 2 do
      waiters[#waiters + 1] = first[j]
      waiters[#waiters + 1] = first[j + 1]
      waiters[#waiters + 1] = ''
    end
  else
    waiting = redis_call('ZCARD', key('k', name))
    arrival = redis_call('GET', key('a', name)) or ''
    local first = redis_call('ZRANGE', key('k', name), 0, most - 1, 'WITHSCORES')
    for j = 1, #first, 2 do
      waiters[#waiters + 1] = first[j]
      waiters[#waiters + 1] = redis_call('ZMSCORE', key('s', name), first[j])[1] or now
      waiters[#waiters + 1] = first[j + 1]
    end
  end
  if #holders == 0 and waiting == 0 then
    redis_call('HDEL', G, name)
    redis_call('ZREM', Q, name)
  elseif left > 0 then
    left = left - 1
    out[#out + 1] = name
    out[#out + 1] = all[i + 1]
    out[#out + 1] = holders
    out[#out + 1] = tostring(waiting)
    out[#out + 1] = waiters
    out[#out + 1] = arrival
  end
end
return out
`,
);
