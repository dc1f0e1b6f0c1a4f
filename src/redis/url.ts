/**
 * Where a Redis server is, as kombu and Celery write it in URLs.
 *
 * | form | meaning |
 * |---|---|
 * | `redis://[user:password@]host[:6379][/db]` | TCP |
 * | `rediss://…[?ssl_cert_reqs=…&ssl_ca_certs=…]` | TLS, certificate and host name verified unless the URL says otherwise |
 * | `redis+socket:///path?virtual_host=db`, `unix:///path?virtual_host=db` | unix socket |
 */
import { readFileSync } from "node:fs";
import { redactUrl } from "../base/redact-url.ts";
import { ImproperlyConfigured } from "../errors.ts";

/** A parsed URL. Holds the password: never log it, log `redactUrl(url)`. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  /** Unix socket; then `host` and `port` mean nothing. */
  readonly path: string | null;
  readonly db: number;
  readonly username: string | null;
  readonly password: string | null;
  /** Options of `tls.connect`, or null for a connection in clear. */
  readonly tls: Readonly<Record<string, unknown>> | null;
  /** Without the password, for messages. */
  readonly redacted: string;
  /** Things the operator should hear about once: checks that the URL switched off, parameters without effect. */
  readonly warnings: readonly string[];
  /** Who knows where the server is; `host` and `port` then mean nothing. */
  readonly sentinels?: Sentinels;
}

/** See `sentinel.ts`. */
export interface Sentinels {
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly masterName: string;
  readonly username: string | null;
  readonly password: string | null;
}

const SCHEMES = new Set(["redis:", "rediss:", "redis+socket:", "unix:", "socket:"]);

const NO_HOST = "no-host";

/** Parameters that Python's clients read from the URL and that change nothing here. */
const WITHOUT_EFFECT = new Set([
  "socket_timeout",
  "socket_connect_timeout",
  "socket_keepalive",
  "health_check_interval",
  "max_connections",
  "retry_on_timeout",
  "protocol",
  "decode_responses",
  "encoding",
]);

function invalid(url: string, why: string): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `the Redis URL ${redactUrl(url)} ${why}; expected redis://[user:password@]host[:port][/db], rediss://… or redis+socket:///path?virtual_host=db`,
    { code: "PET_URL_INVALID" },
  );
}

/**
 * Reads a URL; the second argument is `broker_use_ssl` / `redis_backend_use_ssl` (true, Node's TLS options, or Python's
 * `ssl_*` names).
 *
 * @throws ImproperlyConfigured `PET_URL_INVALID`, without the password in its text
 */
export function parseRedisUrl(
  url: string,
  useTls: boolean | Readonly<Record<string, unknown>> | null = null,
): RedisAddress {
  let parsed: URL;
  try {
    // A user without a host is no URL to Node, but is how a socket's password is written.
    parsed = new URL(url.replace(/^((?:redis\+socket|unix|socket):\/\/[^/]*@)(?=\/)/, `$1${NO_HOST}`));
  } catch {
    throw invalid(url, "cannot be read (special characters of a password must be percent-encoded)");
  }
  if (!SCHEMES.has(parsed.protocol)) throw invalid(url, `has the scheme ${parsed.protocol}//`);
  const warnings: string[] = [];
  const isSocket = parsed.protocol !== "redis:" && parsed.protocol !== "rediss:";
  const tls = readTls({ url, parsed, useTls, warnings });
  const path = isSocket ? decode(url, parsed.hostname.replace(NO_HOST, "") + parsed.pathname) : null;
  if (path !== null && (path === "" || path === "/")) throw invalid(url, "names no socket file");
  const dbText = isSocket
    ? (parsed.searchParams.get("virtual_host") ?? parsed.searchParams.get("db") ?? "")
    : parsed.pathname;
  return {
    host: decode(url, parsed.hostname).replace(/^\[|\]$/g, "") || "localhost",
    port: parsed.port === "" ? 6379 : Number(parsed.port),
    path,
    db: readDb(url, dbText),
    username: decode(url, parsed.username) || null,
    password: decode(url, parsed.password) || null,
    tls,
    redacted: redactUrl(url),
    warnings,
  };
}

function decode(url: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(url, "holds a wrong percent-escape");
  }
}

function readDb(url: string, text: string): number {
  const digits = text.replace(/^\/+/, "");
  if (digits === "") return 0;
  if (!/^\d{1,9}$/.test(digits)) throw invalid(url, "has a database that is not a whole number");
  return Number(digits);
}

interface TlsSource {
  readonly url: string;
  readonly parsed: URL;
  readonly useTls: boolean | Readonly<Record<string, unknown>> | null;
  readonly warnings: string[];
}

/** Python's names -> Node's, for values that are taken over as they are (after reading the file for the first three). */
const FILES: Readonly<Record<string, string>> = {
  ssl_ca_certs: "ca",
  ssl_certfile: "cert",
  ssl_keyfile: "key",
  ca_certs: "ca",
  certfile: "cert",
  keyfile: "key",
};

function readTls(source: TlsSource): Readonly<Record<string, unknown>> | null {
  const { url, parsed, useTls, warnings } = source;
  const options: Record<string, unknown> = {};
  let wanted = parsed.protocol === "rediss:" || useTls === true;
  const set = (name: string, value: unknown): void => {
    const file = FILES[name];
    if (file !== undefined) {
      if (typeof value === "string" && value !== "") options[file] = readPem(url, name, value);
      return;
    }
    switch (name) {
      case "ssl_cert_reqs":
      case "cert_reqs":
        if (!certRequired(url, value)) {
          options["rejectUnauthorized"] = false;
          warnings.push(`${name} switches certificate verification off`);
        }
        return;
      case "ssl_check_hostname":
        if (value === false || /^(false|0|no|off)$/i.test(String(value))) {
          options["checkServerIdentity"] = () => undefined;
          warnings.push("ssl_check_hostname switches the check of the host name off");
        }
        return;
      default:
        options[name] = value;
    }
  };
  if (useTls !== null && typeof useTls === "object") {
    wanted = true;
    for (const [name, value] of Object.entries(useTls)) set(name, value);
    if (useTls["rejectUnauthorized"] === false)
      warnings.push("rejectUnauthorized switches certificate verification off");
  }
  for (const [name, value] of parsed.searchParams) {
    if (name.startsWith("ssl_")) {
      if (!wanted) warnings.push(`${name} has no effect without rediss://`);
      if (FILES[name] === undefined && name !== "ssl_cert_reqs" && name !== "ssl_check_hostname") {
        warnings.push(`${name} is not known and has no effect`);
      } else set(name, value);
    } else if (name !== "virtual_host" && name !== "db") {
      warnings.push(
        `${name} ${WITHOUT_EFFECT.has(name) ? "has no effect here" : "is not known and has no effect"}`,
      );
    }
  }
  return wanted ? options : null;
}

function readPem(url: string, name: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
    throw new ImproperlyConfigured(`${name} of ${redactUrl(url)}: cannot read ${path} (${code})`, {
      code: "PET_URL_INVALID",
      cause: error,
    });
  }
}

/** Python: `ssl.CERT_NONE` is 0, `CERT_OPTIONAL` 1, `CERT_REQUIRED` 2; a server's certificate is not optional to us. */
function certRequired(url: string, value: unknown): boolean {
  switch (String(value).toLowerCase()) {
    case "none":
    case "cert_none":
    case "0":
      return false;
    case "optional":
    case "cert_optional":
    case "1":
    case "required":
    case "cert_required":
    case "2":
      return true;
    default:
      throw invalid(url, `has ssl_cert_reqs=${String(value)}, which is not one of none, optional, required`);
  }
}
