/** A publish of a run by the scheduler that leads (`redis/publish-claim.ts`). */
import { type LuaScript, luaScript } from "../../../redis/scripts.ts";

/**
 * KEYS: lock of the run (`unique.lua.ts`), the scheduler's lock, its entry, its schedule, then lists. ARGV: id, ttl (ms), db of the
 * scheduler's keys or "", db of the lists, token, slot (ms), meta, score, then the text for each list.
 * Returns 1: it is or was published; 2: there is no such entry any more; 0: another leads, and nothing was done.
 */
export const CLAIMED_PUBLISH: LuaScript = luaScript(
  "claimed publish",
  `
local away = ARGV[3] ~= ''
if away then redis.call('SELECT', ARGV[3]) end
local verdict = 1
if redis.call('GET', KEYS[2]) ~= ARGV[5] then
  verdict = 0
elseif redis.call('EXISTS', KEYS[3]) == 0 then
  verdict = 2
else
  local last = redis.call('HGET', KEYS[3], 'slot')
  if last and tonumber(last) >= tonumber(ARGV[6]) then
    verdict = 3
  else
    redis.call('HSET', KEYS[3], 'slot', ARGV[6], 'meta', ARGV[7])
    redis.call('ZADD', KEYS[4], 'XX', ARGV[8], KEYS[3])
  end
end
if away then redis.call('SELECT', ARGV[4]) end
if verdict ~= 1 then return verdict == 3 and 1 or verdict end
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then return 1 end
redis.call('HSET', KEYS[1], 'id', ARGV[1])
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2]) / 1000))
for i = 5, #KEYS do redis.call('LPUSH', KEYS[i], ARGV[i + 4]) end
return 1
`,
);
