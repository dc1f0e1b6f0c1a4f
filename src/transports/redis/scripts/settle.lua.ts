/** Scripts that end holds. All are idempotent: a tag that is gone changes nothing. */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";
import { IS_SUCCESS } from "./is-success.lua.ts";

/**
 * Text shared by scripts that store results. ARGV: from `at` on (key, ttl, value) for each; ttl 0 or less keeps for ever.
 */
const STORE = `
local function store(at, db, keep)
  if db ~= '' then redis.call('SELECT', db) end
  for i = at, #ARGV, 3 do
    local key, ttl, value = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
    local stored = keep and redis.pcall('GET', key)
    if type(stored) ~= 'string' or not is_success(stored) then
      if ttl > 0 then redis.call('SETEX', key, ttl, value) else redis.call('SET', key, value) end
      redis.call('PUBLISH', key, value)
    end
  end
end
`;

/**
 * Text shared by ACK and FINISH. A mismatch of the count is rare; which tags were gone is then read from the index, which
 * goes with the hash and is removed after it.
 */
const RELEASE = `
local gone = 0
local function release(first, last, started)
  local existed = redis.call('HDEL', KEYS[1], unpack(ARGV, first, last))
  if existed < last - first + 1 then
    gone = {}
    local scores = redis.call('ZMSCORE', KEYS[2], unpack(ARGV, first, last))
    for i = 1, last - first + 1 do
      if not scores[i] then gone[#gone + 1] = i - 1 end
    end
  end
  redis.call('ZREM', KEYS[2], unpack(ARGV, first, last))
  redis.call('ZREM', KEYS[3], unpack(ARGV, first, last))
  if started then redis.call('SREM', KEYS[4], unpack(ARGV, first, last)) end
end
`;

/**
 * ACK. KEYS: unacked, unacked_index, unacked_lease, unacked_started.
 * ARGV: "1" when the start of one was recorded, then tags (1000 at most).
 * Returns 0, or the positions (from 0) of tags that were gone.
 * Counterpart: kombu's MULTI; ZREM unacked_index; HDEL unacked; EXEC.
 */
export const ACK: LuaScript = luaScript(
  "ack",
  `${RELEASE}
release(2, #ARGV, ARGV[1] == '1')
return gone
`,
);

/**
 * FINISH: stores results, tells those who wait, and acks, in one step.
 * KEYS as ACK. ARGV: "1" when the start of one was recorded, number of tags (500 at most), db of the results or "" for this
 * one, "1" = leave a stored SUCCESS alone, then the tags, then the results.
 * Returns as ACK. HDEL comes first: it is never refused for lack of memory, and what follows in a script then is not either.
 * Counterpart: Celery's SETEX + PUBLISH, then kombu's ack.
 */
export const FINISH: LuaScript = luaScript(
  "finish",
  `${RELEASE}${IS_SUCCESS}${STORE}
local count = tonumber(ARGV[2])
release(5, 4 + count, ARGV[1] == '1')
store(5 + count, ARGV[3], ARGV[4] == '1')
return gone
`,
);

/**
 * FINISH of one unique task, which frees its key: unless its hold was gone, for then the task is another's, and the key with it.
 * KEYS: as ACK, then the lock and the replaced key (`scripts/unique.lua.ts`). ARGV: as FINISH with its one tag, behind it the id of
 * the task, then its result, if any.
 */
export const FINISH_UNIQUE: LuaScript = luaScript(
  "finish unique",
  `${RELEASE}${IS_SUCCESS}${STORE}
release(5, 5, ARGV[1] == '1')
if gone == 0 then
  redis.call('DEL', KEYS[6])
  if redis.call('HGET', KEYS[5], 'id') == ARGV[6] then redis.call('DEL', KEYS[5]) end
end
store(7, ARGV[3], ARGV[4] == '1')
return gone
`,
);

/**
 * PARK: holds become entries that wait for their time; nobody needs to renew them.
 * KEYS: unacked, unacked_index, unacked_lease, unacked_parked, unacked_started.
 * ARGV: (old tag, new tag, time (s), sha1 of the value or "", new value or "")*. With a sha1 only an unchanged value is
 * parked, as the new value.
 * Returns 0, or the positions (from 0) of tags that were gone. Old gone but new there: done already.
 */
export const PARK: LuaScript = luaScript(
  "park",
  `
redis.call('ZCARD', KEYS[4])
local gone = {}
for at = 1, #ARGV, 5 do
  local old, new, eta, sha, text = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  local value = redis.call('HGET', KEYS[1], old)
  if value and (sha == '' or redis.sha1hex(value) == sha) then
    redis.call('HDEL', KEYS[1], old)
    redis.call('ZREM', KEYS[2], old)
    redis.call('ZREM', KEYS[3], old)
    redis.call('HSET', KEYS[1], new, sha == '' and value or text)
    redis.call('ZADD', KEYS[2], eta, new)
    redis.call('ZADD', KEYS[4], eta, new)
    redis.call('SREM', KEYS[5], old)
  elseif redis.call('HEXISTS', KEYS[1], new) == 0 then
    gone[#gone + 1] = (at - 1) / 5
  end
end
if #gone == 0 then return 0 end
return gone
`,
);

/**
 * Text shared by MOVE and BURY: an entry leaves `unacked`; the script ends with 0 when it has changed or is gone.
 * KEYS: unacked, unacked_index, unacked_lease, unacked_started, unacked_parked. ARGV: tag, sha1 of the value as it was read.
 */
export const TAKE_UNCHANGED = `local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value or redis.sha1hex(value) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('SREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
`;

/**
 * MOVE: a held or abandoned entry goes to a list: back to its queue, or to a dead list. RESTORE in the design.
 * KEYS: unacked, unacked_index, unacked_lease, unacked_started, unacked_parked, target list.
 * ARGV: tag, sha1 of the value as it was read, what to push, "r" (front) or "l" (back).
 * Returns 1, or 0 when the entry has changed or is gone.
 */
export const MOVE: LuaScript = luaScript(
  "move",
  `
redis.call('LLEN', KEYS[6])
${TAKE_UNCHANGED}redis.call(ARGV[4] == 'r' and 'RPUSH' or 'LPUSH', KEYS[6], ARGV[3])
return 1
`,
);
