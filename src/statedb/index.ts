/** Opens the state DB that a URL or a file name says. Each is loaded when first asked for. */

import { redactUrl } from "../base/redact-url.ts";
import { ImproperlyConfigured } from "../errors.ts";
import type { StateDb, StateDbOptions } from "./state-db.ts";

const REDIS: ReadonlySet<string> = new Set(["redis", "rediss", "redis+socket", "socket", "unix", "sentinel"]);

/** `scheme` of `scheme://…`; null: a file name. */
function schemeOf(url: string): string | null {
  return /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1]?.toLowerCase() ?? null;
}

/**
 * A state DB, not started.
 *
 * @throws ImproperlyConfigured `PET_URL_INVALID`, without the password in its text
 */
export async function openStateDb(options: StateDbOptions): Promise<StateDb> {
  const scheme = schemeOf(options.url);
  if (scheme === null || scheme === "file") {
    const { openFileStateDb } = await import("./file/index.ts");
    return openFileStateDb(options);
  }
  if (scheme === "sqlite") {
    const { openSqliteStateDb } = await import("./sqlite/index.ts");
    return openSqliteStateDb(options);
  }
  if (!REDIS.has(scheme)) throw notServed(options.url);
  const { openRedisStateDb } = await import("./redis/index.ts");
  return openRedisStateDb(options);
}

function notServed(url: string): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `the state DB ${JSON.stringify(redactUrl(url))} is not served: give a file, sqlite:///path/to/file.db, redis://, rediss://, redis+socket:// or sentinel://`,
    { code: "PET_URL_INVALID" },
  );
}
