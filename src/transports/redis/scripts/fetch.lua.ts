/**
 * FETCH: takes messages from lists into `unacked` in one step, so that none is ever only in a socket.
 *
 * KEYS: unacked, unacked_index, unacked_lease, unacked_parked, dead list of the default queue, fence of this node,
 * paused queues, then the lists step by step (`per` lists in each step).
 *
 * ARGV: tag prefix of the node, call number, n to take, n to replay, byte budget, lease (s), sep, fence TTL (ms), `per`,
 * "1" = drain the lists of a step one after the other, bytes of one message at most, global_keyprefix, then the queues'
 * names as JSON (`per` of them).
 *
 * Does, in this order:
 * 0. a ZREM of nothing: a script's first write is what `maxmemory` may refuse, and ZREM is never refused; on a server that
 *    became a replica, or refuses writes, the script ends here even when there is nothing to take;
 * 1. a call that the fence has seen: answers what still exists under its tags and takes nothing;
 * 2. parked messages whose time has come (64 at most) go to the front of their lists, the latest first;
 * 3. reads and checks messages of queues that are not paused, one per list and pass, until n, the budget or 100 bad ones. What begins and ends like an
 *    envelope is not parsed here: that would be a third of the cost, and the consumer parses it at once;
 * 4. records what was read: the dead list, `unacked`, both indexes, the fence;
 *    a call that takes nothing, but might have before, is noted in the fence as well: no late copy of it takes anything;
 * 5. removes it from the lists. A step that raises because a key has a wrong type leaves the messages where they were.
 *
 * Returns: server time (s, text), time of the next parked message or "", its tag, status ("0": the lists were emptied,
 * "1": there may be more, "r": replay), then
 * - (list number, raw): a message; the i-th of these has the tag `prefix call:i`;
 * - (-list number, reason, raw): a bad one, now on the dead list;
 * - (0, list number, error): a list of a wrong type; without an error: its queue is paused;
 * - in a replay (i, value).
 *
 * Counterpart: kombu's BRPOP followed by MULTI; ZADD unacked_index; HSET unacked; EXEC.
 */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";

export const FETCH: LuaScript = luaScript(
  "fetch",
  `
local U, I, L, P, D, F, Z = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local first_list = 8
local call, n, budget, per = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[9])
local prefix = ARGV[1] .. ARGV[2] .. ':'
local strict, max_bytes = ARGV[10] == '1', tonumber(ARGV[11])
local redis_call = redis.call
local t = redis_call('TIME')
local now = t[1] .. '.' .. string.format('%06d', t[2])
local out = {now, '', '', '0'}
redis_call('ZREM', L, '')

if call <= tonumber(redis_call('GET', F) or '0') then
  out[4] = 'r'
  local wanted = tonumber(ARGV[4])
  if wanted > 0 then
    local tags = {}
    for i = 1, wanted do tags[i] = prefix .. i end
    local values = redis_call('HMGET', U, unpack(tags))
    for i = 1, wanted do
      if values[i] then
        out[#out + 1] = i
        out[#out + 1] = values[i]
      end
    end
  end
  return out
end

local next_parked = redis_call('ZRANGE', P, 0, 0, 'WITHSCORES')
if next_parked[1] and tonumber(next_parked[2]) <= tonumber(now) then
  local due = redis_call('ZRANGEBYSCORE', P, '-inf', now, 'LIMIT', 0, 64)
  for j = #due, 1, -1 do
    local tag = due[j]
    local value = redis_call('HGET', U, tag)
    if not value then
      redis_call('ZREM', P, tag)
    else
      local step = string.match(tag, '^ts1:p:(%d+):')
      local raw, name = string.match(value, '^%[(.*),"",(".*")%]$')
      local ok, queue = pcall(cjson.decode, '[' .. (name or '') .. ']')
      local target, text = D, nil
      if step and raw and ok then
        target = ARGV[12] .. queue[1]
        if step ~= '0' then target = target .. ARGV[7] .. step end
        text = raw
      else
        text = '{"queue":null,"reason":"a parked entry that cannot be read","at":' .. t[1] .. ',"count":0}\\n' .. value
      end
      local len = redis.pcall('LLEN', target)
      if type(len) == 'number' then
        redis_call('ZREM', P, tag)
        redis_call('HDEL', U, tag)
        redis_call('ZREM', I, tag)
        redis_call('RPUSH', target, text)
      else
        redis_call('ZADD', P, string.format('%.6f', tonumber(now) + 60), tag)
      end
    end
  end
  next_parked = redis_call('ZRANGE', P, 0, 0, 'WITHSCORES')
end
if next_parked[1] then
  out[2] = next_parked[2]
  out[3] = next_parked[1]
end

local decode, find, sub = cjson.decode, string.find, string.sub
-- Begins and ends as what kombu and we write; anything else is parsed. Plain finds: they cost a tenth of parsing.
local function has_outline(raw)
  local tag = find(raw, 'delivery_tag"', -64, true)
  return tag and find(raw, '^delivery_tag": ?"[%w-]+"}}$', tag) and find(raw, '^{"body": ?"')
    and find(raw, 'delivery_info":', -400, true) and find(raw, 'properties":', 1, true)
end
local function flaw(raw)
  if #raw > max_bytes then return 'larger than ' .. max_bytes .. ' bytes' end
  if has_outline(raw) then return nil end
  if #raw > 65536 then
    if sub(raw, 1, 1) == '{' and sub(raw, -1) == '}' and find(raw, '"delivery_tag"', 1, true) then return nil end
    return 'not a message envelope'
  end
  local ok, message = pcall(decode, raw)
  if not ok or type(message) ~= 'table' then return 'not a JSON object' end
  local properties = message.properties
  if type(properties) ~= 'table' then return 'no properties' end
  if properties.delivery_tag == nil or properties.delivery_tag == cjson.null then return 'no properties.delivery_tag' end
  if type(properties.delivery_info) ~= 'table' then return 'no properties.delivery_info' end
  return nil
end

local taken, bytes, biggest, full = 0, 0, 0, n <= 0
local hset, index, lease = {U}, {I}, {L}
local trims, bad = {}, {}
local deadline = string.format('%.6f', tonumber(now) + tonumber(ARGV[6]))
local paused = redis_call('ZRANGE', Z, 0, -1)
local closed = nil
if #paused > 0 then
  closed = {}
  for _, name in ipairs(paused) do closed[name] = true end
  for i = 0, per - 1 do
    local is_paused = closed[decode('[' .. ARGV[13 + i] .. ']')[1]]
    closed[i] = is_paused
    if is_paused then
      out[#out + 1] = 0
      out[#out + 1] = i + 1
      out[#out + 1] = ''
    end
  end
end
local base = first_list
while base <= #KEYS and not full do
  local open = {}
  for k = base, base + per - 1 do
    local len = closed and closed[k - base] and 0 or redis.pcall('LLEN', KEYS[k])
    if type(len) ~= 'number' then
      out[#out + 1] = 0
      out[#out + 1] = k - first_list + 1
      out[#out + 1] = len.err
    elseif len > 0 then
      open[#open + 1] = {k, len, 0, nil, 0}
    end
  end
  local at = 1
  while #open > 0 and not full do
    -- list = {key number, length, taken, chunk, position in the chunk}
    local list = open[at]
    if list[5] == 0 then
      local want = math.min(list[2] - list[3], n - taken)
      if biggest == 0 then want = math.min(want, 4)
      else want = math.min(want, math.max(1, math.floor((budget - bytes) / biggest))) end
      list[4] = redis_call('LRANGE', KEYS[list[1]], -(list[3] + want), -(list[3] + 1))
      list[5] = #list[4]
    end
    local raw = list[4][list[5]]
    if taken > 0 and bytes + #raw > budget then
      full = true
    else
      if list[3] == 0 then trims[#trims + 1] = list end
      list[5] = list[5] - 1
      list[3] = list[3] + 1
      bytes = bytes + #raw
      if #raw > biggest then biggest = #raw end
      local reason = flaw(raw)
      local queue = ARGV[12 + (list[1] - first_list) % per + 1]
      if reason then
        bad[#bad + 1] = '{"queue":' .. queue .. ',"reason":"' .. reason .. '","at":' .. t[1] .. ',"count":0}\\n' .. raw
        out[#out + 1] = -(list[1] - first_list + 1)
        out[#out + 1] = reason
        out[#out + 1] = #raw > max_bytes and string.sub(raw, 1, 65536) or raw
        if #bad >= 100 then full = true end
      else
        taken = taken + 1
        local tag = prefix .. taken
        hset[#hset + 1] = tag
        hset[#hset + 1] = '[' .. raw .. ',"",' .. queue .. ']'
        index[#index + 1] = now
        index[#index + 1] = tag
        lease[#lease + 1] = deadline
        lease[#lease + 1] = tag
        out[#out + 1] = list[1] - first_list + 1
        out[#out + 1] = raw
        if taken >= n then full = true end
      end
      if list[3] >= list[2] then
        table.remove(open, at)
        if at > #open then at = 1 end
      elseif not strict then
        at = at % #open + 1
      end
    end
  end
  base = base + per
end
if full then out[4] = '1' end

if #trims > 0 then
  if #bad > 0 then redis_call('LPUSH', D, unpack(bad)) end
  if taken > 0 then
    redis_call('HSET', unpack(hset))
    redis_call('ZADD', unpack(index))
    redis_call('ZADD', unpack(lease))
  end
  redis_call('SET', F, ARGV[2], 'PX', ARGV[8])
  for _, list in ipairs(trims) do redis_call('LTRIM', KEYS[list[1]], 0, -(list[3] + 1)) end
elseif n <= 0 and tonumber(ARGV[4]) > 0 then
  redis_call('SET', F, ARGV[2], 'PX', ARGV[8])
end
return out
`,
);
