/**
 * Text shared by FINISH and the backend's STORE: `is_success(stored)`, whether a stored result is a SUCCESS.
 *
 * Python's and our own JSON begins with the status, so that a big result is not decoded to learn it; so does their msgpack
 * (a map's head of 1 or 3 bytes, then two short texts).
 */
export const IS_SUCCESS: string = `
local function is_success(stored)
  local head = string.match(stored, '^{"status": ?"([%w_ -]*)"')
  if head then return head == 'SUCCESS' end
  if not string.find(stored, 'SUCCESS', 1, true) then return false end
  local ok, meta = pcall(cjson.decode, stored)
  if ok then return type(meta) == 'table' and meta.status == 'SUCCESS' end
  local at = string.find(stored, '\\166status\\167SUCCESS', 1, true)
  if at == 2 or at == 4 then return true end
  return string.find('\\n' .. stored, '\\nstatus: SUCCESS\\n', 1, true) ~= nil
end
`;
