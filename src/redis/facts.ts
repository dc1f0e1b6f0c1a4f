/** What has to be known of a server before it is used, asked in one write together with the scripts. */
import type { RedisArg, RedisConnection } from "./connection.ts";
import { RedisError } from "./errors.ts";
import { type LuaScript, SELECT_PROBE } from "./scripts.ts";

export interface ServerFacts {
  /** `redis_version`; Valkey reports the Redis version that it is compatible with. */
  readonly version: string;
  /** Identity of the server process; null where INFO is not allowed. Two connections with one id share their data. */
  readonly runId: string | null;
  readonly db: number;
  /** A script may SELECT another database. */
  readonly selectAllowed: boolean;
  /** What the connection speaks. */
  readonly protocol: 2 | 3;
}

/** The oldest that is served: ZMSCORE, LMOVE's age. */
const MINIMUM = [6, 2] as const;

/**
 * @throws RedisError: `loading`, `readonly` … for a server that cannot be used now; code `PET_BROKER_REFUSED` for one that
 * never can
 */
export async function readServerFacts(
  connection: RedisConnection,
  options: { readonly scripts: readonly LuaScript[]; readonly protocol: 2 | 3 },
): Promise<ServerFacts> {
  const { db, redacted } = connection.address;
  const commands: [string, ...RedisArg[]][] = [
    ["hello"],
    ["ping"],
    ["info", "server"],
    ["eval", SELECT_PROBE.text, 0, db],
    ...options.scripts.map((script): [string, ...RedisArg[]] => ["script", "load", script.text]),
  ];
  // A refused SCRIPT LOAD is no harm: the first call of the script sends its text.
  const [hello, ping, info, select] = await connection.pipeline(commands);
  if (ping instanceof RedisError && ping.kind !== "noperm") throw ping;
  if (hello instanceof RedisError && hello.kind !== "other" && hello.kind !== "noperm") throw hello;
  const greeting = pairs(hello);
  const lines = typeof info === "string" ? info : "";
  const version = /^redis_version:(\S+)/m.exec(lines)?.[1] ?? greeting.get("version") ?? "unknown";
  requireVersion(version, redacted);
  const role = greeting.get("role");
  if (role === "replica" || role === "slave") {
    throw new RedisError("readonly", `${redacted} is a read-only replica`, { outcome: "not sent" });
  }
  return {
    version,
    runId: /^run_id:(\S+)/m.exec(lines)?.[1] ?? null,
    db,
    selectAllowed: select === 1,
    protocol: greeting.get("proto") === "3" ? 3 : 2,
  };
}

function requireVersion(version: string, redacted: string): void {
  const [major = Number.NaN, minor = 0] = version.split(".").map(Number);
  if (Number.isNaN(major)) return;
  if (major > MINIMUM[0] || (major === MINIMUM[0] && minor >= MINIMUM[1])) return;
  throw new RedisError(
    "unsupported",
    `${redacted} is Redis ${version}; ${MINIMUM.join(".")} or newer is needed (or any Valkey)`,
    { outcome: "not sent" },
  );
}

/** HELLO's reply: a flat list of names and values in both protocols. */
function pairs(reply: unknown): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  if (!Array.isArray(reply)) return found;
  for (let i = 0; i + 1 < reply.length; i += 2) {
    const value: unknown = reply[i + 1];
    if (typeof value === "string" || typeof value === "number") found.set(String(reply[i]), String(value));
  }
  return found;
}
