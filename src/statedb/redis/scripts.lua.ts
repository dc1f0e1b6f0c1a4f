/** Scripts of the state DB. Time is the server's, so that hosts may disagree about it. */
import { type LuaScript, luaScript } from "../../redis/scripts.ts";

const NOW = `
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
`;

/**
 * RECORD: revokes.
 * KEYS: own ids, own stamps, shared ids, shared stamps, seq. ARGV: "1" = own, "1" = shared, channel, ttl (s; 0: none), number
 * of ids, when (epoch seconds; '': now), the ids, the stamps.
 * Tells the channel what was new to the shared set. Returns how many were. A second run does no harm.
 */
export const RECORD: LuaScript = luaScript(
  "record",
  `
${NOW}local own, shared, ttl, ids = ARGV[1] == '1', ARGV[2] == '1', tonumber(ARGV[4]), tonumber(ARGV[5])
local news, count = { ids = {}, stamps = {} }, 0
if ARGV[6] ~= '' then now = ARGV[6] end
for i = 7, #ARGV do
  local isid = i < 7 + ids
  if own then redis.call('ZADD', KEYS[isid and 1 or 2], 'GT', now, ARGV[i]) end
  if shared and redis.call('ZADD', KEYS[isid and 3 or 4], 'GT', now, ARGV[i]) == 1 then
    local list = isid and news.ids or news.stamps
    list[#list + 1] = ARGV[i]
    count = count + 1
  end
end
if ttl > 0 then for i = 1, 4 do redis.call('EXPIRE', KEYS[i], ttl) end end
if count > 0 then
  if #news.ids == 0 then news.ids = nil end
  if #news.stamps == 0 then news.stamps = nil end
  news.seq = redis.call('INCR', KEYS[5])
  redis.call('PUBLISH', ARGV[3], cjson.encode(news))
end
return count
`,
);

/**
 * CLAIM: a worker takes its name.
 * KEYS: owner, nodes. ARGV: token, node, lease (ms), "1" = take it from another, channel, what others are told then.
 * Returns the token of the other that had it, or ''.
 */
export const CLAIM: LuaScript = luaScript(
  "claim",
  `
${NOW}local held = redis.call('GET', KEYS[1])
local other = held and held ~= ARGV[1]
if not other or ARGV[4] == '1' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  redis.call('ZADD', KEYS[2], now, ARGV[2])
  if other then redis.call('PUBLISH', ARGV[5], ARGV[6]) end
end
return other and held or ''
`,
);

/**
 * CHECKPOINT: what a worker writes now and then.
 * KEYS: owner, nodes, clock, blob, own ids, own stamps, shared ids, shared stamps, seq, sum. ARGV: token, node, lease (ms),
 * clock, ttl (s; 0: none), "1" = shared, "1" = write the blob, the SHA-1 of the blob that it replaces ('': none), the blob,
 * its sum.
 * Returns seq, or "fenced" (another has the name: nothing was written), or "changed" (the blob is another: all but it was
 * written).
 */
export const CHECKPOINT: LuaScript = luaScript(
  "checkpoint",
  `
${NOW}local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return 'fenced' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], now, ARGV[2])
local clock = tonumber(redis.call('GET', KEYS[3])) or 0
if tonumber(ARGV[4]) > clock then redis.call('SET', KEYS[3], ARGV[4]) end
local ttl = tonumber(ARGV[5])
if ttl > 0 then
  for i = 5, ARGV[6] == '1' and 8 or 6 do
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', tonumber(now) - ttl)
    redis.call('EXPIRE', KEYS[i], ttl)
  end
  redis.call('EXPIRE', KEYS[3], ttl)
end
if ARGV[7] == '1' then
  local blob = redis.call('GET', KEYS[4])
  if (blob and redis.sha1hex(blob) or '') ~= ARGV[8] then return 'changed' end
  redis.call('SET', KEYS[4], ARGV[9])
  redis.call('SET', KEYS[10], ARGV[10])
end
if ttl > 0 then
  redis.call('EXPIRE', KEYS[4], ttl)
  redis.call('EXPIRE', KEYS[10], ttl)
end
return redis.call('GET', KEYS[9]) or '0'
`,
);

/** BLOB_SUM: KEYS: blob, sum. Returns the sum when it is this blob's, else ''. */
export const BLOB_SUM: LuaScript = luaScript(
  "blob-sum",
  `
local sum = redis.call('GET', KEYS[2])
local blob = sum and redis.call('GET', KEYS[1])
if not blob or string.sub(sum, 1, 40) ~= redis.sha1hex(blob) then return '' end
return sum
`,
);

/** RELEASE: KEYS: owner. ARGV: token. */
export const RELEASE: LuaScript = luaScript(
  "release",
  "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1",
);

/**
 * PURGE: takes the oldest members out of a set.
 * KEYS: the set. ARGV: age (s), members at most. Returns those taken out.
 */
export const PURGE: LuaScript = luaScript(
  "purge",
  `
${NOW}local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', tonumber(now) - tonumber(ARGV[1]), 'LIMIT', 0, tonumber(ARGV[2]))
if #old > 0 then redis.call('ZREM', KEYS[1], unpack(old)) end
return old
`,
);

/**
 * REPLACE_BLOB: KEYS: blob. ARGV: SHA-1 of what it replaces, the new one; '' deletes. Returns 0 when it is another.
 */
export const REPLACE_BLOB: LuaScript = luaScript(
  "replace-blob",
  `
local blob = redis.call('GET', KEYS[1])
if (blob and redis.sha1hex(blob) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2]) end
return 1
`,
);

/** CLEAR: KEYS: seq, the keys to delete. ARGV: channel. Tells workers to load anew. */
export const CLEAR: LuaScript = luaScript(
  "clear",
  `
redis.call('DEL', unpack(KEYS, 2))
redis.call('PUBLISH', ARGV[1], cjson.encode({ seq = redis.call('INCR', KEYS[1]), reload = true }))
return 1
`,
);

/** NOTIFY_PURGED: KEYS: seq. ARGV: channel. Tells workers to load anew. */
export const NOTIFY_PURGED: LuaScript = luaScript(
  "notify-purged",
  `
redis.call('PUBLISH', ARGV[1], cjson.encode({ seq = redis.call('INCR', KEYS[1]), reload = true }))
return 1
`,
);

/**
 * MERGE: copies a page of a set into another; ages stay.
 * KEYS: from, into. ARGV: first, last rank. Returns how many there were.
 */
export const MERGE: LuaScript = luaScript(
  "merge",
  `
local page = redis.call('ZRANGE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES')
for i = 1, #page, 2 do redis.call('ZADD', KEYS[2], 'GT', page[i + 1], page[i]) end
return #page / 2
`,
);

/**
 * FORGET: deletes what is kept of a worker.
 * KEYS: owner, nodes, then the keys to delete. ARGV: node. Returns -1 when a worker has the name, else how many keys there were.
 */
export const FORGET: LuaScript = luaScript(
  "forget",
  `
if redis.call('EXISTS', KEYS[1]) == 1 then return -1 end
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', unpack(KEYS, 3))
`,
);
