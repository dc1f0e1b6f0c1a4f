/** Server-side scripts: fixed text, never put together at run time, called by their SHA-1. */
import { createHash } from "node:crypto";

export interface LuaScript {
  /** For messages and logs. */
  readonly name: string;
  readonly text: string;
  /** Hex SHA-1 of the text, as `SCRIPT LOAD` answers it. */
  readonly sha: string;
}

export function luaScript(name: string, text: string): LuaScript {
  return { name, text, sha: createHash("sha1").update(text).digest("hex") };
}

/** Does `SELECT` work inside a script (not on Cluster, not without the permission)? ARGV[1] is the connection's own db. */
export const SELECT_PROBE: LuaScript = luaScript(
  "select-probe",
  "local r = redis.pcall('SELECT', ARGV[1]) if type(r) == 'table' and r.err then return 0 end return 1",
);
