import { createHash } from "node:crypto";

/** As Lua's `redis.sha1hex`. */
export function sha1(bytes: Buffer): string {
  return createHash("sha1").update(bytes).digest("hex");
}
