/** Scripts that renew leases and find those that ran out. */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";

/**
 * BEAT: renews the lease of held messages. The dummy ZREM makes the first write one that is never refused for lack of memory.
 * KEYS: unacked_index, unacked_lease. ARGV: lease (s), tags (1000 at most).
 * Returns the positions (from 0) of tags that are gone.
 * Counterpart: none; to Python the score in `unacked_index` looks as if the message had just been taken.
 */
export const BEAT: LuaScript = luaScript(
  "beat",
  `
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', t[2])
local deadline = string.format('%.6f', tonumber(now) + tonumber(ARGV[1]))
redis.call('ZREM', KEYS[2], '')
local scores = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, 2))
local gone, index, lease = {}, {KEYS[1], 'XX'}, {KEYS[2], 'XX'}
for i = 2, #ARGV do
  if scores[i - 1] then
    index[#index + 1] = now
    index[#index + 1] = ARGV[i]
    lease[#lease + 1] = deadline
    lease[#lease + 1] = ARGV[i]
  else
    gone[#gone + 1] = i - 2
  end
end
if #index > 2 then
  redis.call('ZADD', unpack(index))
  redis.call('ZADD', unpack(lease))
end
return gone
`,
);

/**
 * SWEEP: what nobody renews any more: leases that ran out, and entries of any kind that are older than the visibility timeout.
 * KEYS: unacked, unacked_index, unacked_lease, unacked_started, gate.
 * ARGV: visibility timeout (s), tags at most, gate (ms; 0 = the gate is ours already), bytes at most.
 * Members without a value (Python restored them) are removed.
 * Returns server time (s, text), "1" when there may be more, then (tag, score, "1" when its start was recorded, value)*,
 * latest first; or server time and "" when another sweep was too recent.
 */
export const SWEEP: LuaScript = luaScript(
  "sweep",
  `
local t = redis.call('TIME')
local now = t[1] .. '.' .. string.format('%06d', t[2])
redis.call('ZREM', KEYS[3], '')
if ARGV[3] ~= '0' and not redis.call('SET', KEYS[5], '1', 'NX', 'PX', ARGV[3]) then return {now, ''} end
local max, budget, bytes = tonumber(ARGV[2]), tonumber(ARGV[4]), 0
local out, seen, more = {now, '0'}, {}, false
local function collect(key, limit)
  local found = redis.call('ZREVRANGEBYSCORE', key, limit, '-inf', 'WITHSCORES', 'LIMIT', 0, max)
  if #found >= 2 * max then more = true end
  for i = 1, #found, 2 do
    local tag = found[i]
    if not seen[tag] then
      if bytes > budget then
        more = true
        break
      end
      seen[tag] = true
      local value = redis.call('HGET', KEYS[1], tag)
      if value then
        bytes = bytes + #value
        out[#out + 1] = tag
        out[#out + 1] = found[i + 1]
        out[#out + 1] = tostring(redis.call('SISMEMBER', KEYS[4], tag))
        out[#out + 1] = value
      else
        redis.call('ZREM', key, tag)
      end
    end
  end
end
collect(KEYS[3], now)
collect(KEYS[2], string.format('%.6f', tonumber(now) - tonumber(ARGV[1])))
if more then out[2] = '1' end
return out
`,
);
