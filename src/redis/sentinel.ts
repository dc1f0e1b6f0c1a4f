/**
 * Redis Sentinel: a URL names the sentinels, and each attempt to connect asks them who is the master now.
 *
 * `sentinel://[user:password@]host[:26379][/db]?master_name=name`, several of them joined by `;` as kombu has it. User, password
 * and database are the master's, from the first URL; `sentinel_username` and `sentinel_password` are the sentinels' own.
 */

import { redactUrl } from "../base/redact-url.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { type DialOptions, RedisConnection } from "./connection.ts";
import { RedisError } from "./errors.ts";
import { parseRedisUrl, type RedisAddress, type Sentinels } from "./url.ts";

const PORT = 26_379;
const OWN = ["master_name", "sentinel_username", "sentinel_password"] as const;

export function isSentinelUrl(url: string): boolean {
  return /^\s*sentinel:/i.test(url);
}

type Tls = Parameters<typeof parseRedisUrl>[1];

/** `redis://…` and its kind, or `sentinel://…`, of which `tls` is the master's. @throws ImproperlyConfigured `PET_URL_INVALID`, without passwords */
export function parseServerUrl(url: string, tls: Tls = null): RedisAddress {
  return isSentinelUrl(url) ? parseSentinelUrl(url, tls) : parseRedisUrl(url, tls);
}

function parseSentinelUrl(url: string, tls: Tls): RedisAddress {
  const all = url
    .split(";")
    .map((one) => one.trim())
    .filter((one) => one !== "");
  const own = new Map<string, string>();
  const addresses = all.map((one) => {
    if (!isSentinelUrl(one)) throw invalid(url, "mixes sentinel:// with other schemes");
    const parts = /^sentinel:\/\/([^?]*)(?:\?(.*))?$/is.exec(one);
    const query = new URLSearchParams(parts?.[2] ?? "");
    for (const name of OWN) {
      const value = query.get(name);
      if (value !== null && !own.has(name)) own.set(name, value);
      query.delete(name);
    }
    const rest = query.size > 0 ? `?${query.toString()}` : "";
    const address = parseRedisUrl(`redis://${parts?.[1] ?? ""}${rest}`, tls);
    return hasPort(parts?.[1] ?? "") ? address : { ...address, port: PORT };
  });
  const [first] = addresses;
  const masterName = own.get("master_name");
  if (first === undefined || masterName === undefined || masterName === "") {
    throw invalid(url, "does not say which master it means: add ?master_name=…");
  }
  const sentinels: Sentinels = {
    nodes: addresses.map(({ host, port }) => ({ host, port })),
    masterName,
    username: own.get("sentinel_username") ?? null,
    password: own.get("sentinel_password") ?? null,
  };
  return { ...first, redacted: redactUrl(url), sentinels };
}

/** `user:password@host:port/db` */
function hasPort(rest: string): boolean {
  const place = rest.slice(rest.lastIndexOf("@") + 1).replace(/\/.*$/s, "");
  return /:\d+$/.test(place);
}

function invalid(url: string, why: string): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `the URL ${redactUrl(url)} ${why}; expected sentinel://host[:26379][/db]?master_name=name, several joined by ";"`,
    { code: "PET_URL_INVALID" },
  );
}

/**
 * Connects to the master that the first sentinel that knows it names.
 *
 * @throws RedisError what each sentinel said, or that what it named is no master (any more)
 */
export async function dialMaster(
  options: DialOptions & { readonly address: RedisAddress },
  sentinels: Sentinels,
): Promise<RedisConnection> {
  const { address } = options;
  const master = await findMaster(options, sentinels);
  const connection = await RedisConnection.dial({ ...options, address: { ...address, ...master } });
  try {
    const role = await connection.command("role", []);
    if (Array.isArray(role) && role[0] === "master") return connection;
    throw failure(
      address,
      `the sentinels name ${master.host}:${master.port} as master of ${sentinels.masterName}, which is none`,
    );
  } catch (error) {
    connection.destroy(error as RedisError);
    throw error;
  }
}

async function findMaster(
  options: DialOptions & { readonly address: RedisAddress },
  { nodes, masterName, username, password }: Sentinels,
): Promise<{ readonly host: string; readonly port: number }> {
  const said: string[] = [];
  for (const { host, port } of nodes) {
    const at = `${host}:${port}`;
    try {
      const redacted = `sentinel://${at}`;
      const address = { host, port, path: null, tls: null, db: 0, username, password, redacted };
      const sentinel = await RedisConnection.dial({ ...options, address, protocol: 2, clientName: null });
      const named = await sentinel
        .command("sentinel", ["get-master-addr-by-name", masterName])
        .finally(() => sentinel.destroy(failure(options.address, "asked")));
      const [found, foundPort] = Array.isArray(named) ? named : [];
      if (typeof found === "string" && Number(foundPort) > 0) return { host: found, port: Number(foundPort) };
      said.push(`${at} does not know it`);
    } catch (error) {
      said.push(`${at}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw failure(options.address, `no sentinel names the master of ${masterName} (${said.join("; ")})`);
}

function failure({ redacted }: RedisAddress, why: string): RedisError {
  return new RedisError("connection", `${redacted}: ${why}`, { outcome: "not sent" });
}
