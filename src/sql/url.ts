/**
 * Where a database is, as SQLAlchemy and Celery write it in URLs; a `db+` in front is Celery's mark for a result backend.
 *
 * | form | meaning |
 * |---|---|
 * | `postgresql://[user[:password]@][host][:5432]/name` | also `postgres://`, `postgresql+psycopg2://`, … |
 * | `mysql://[user[:password]@][host][:3306]/name` | also `mariadb://`, `mysql+pymysql://`, … |
 * | `sqlite:///relative/path.db`, `sqlite:////absolute/path.db` | SQLAlchemy's: three slashes, then the path |
 *
 * What stands after the `+` is Python's driver, and means nothing here. Options: see `OPTIONS`.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { ConnectionOptions } from "node:tls";
import { redactUrl } from "../base/redact-url.ts";
import { ImproperlyConfigured } from "../errors.ts";

export type SqlDialect = "postgresql" | "mysql" | "sqlite";

/** A server. Holds the password: log `redacted`. */
export interface ServerAddress {
  readonly dialect: "postgresql" | "mysql";
  readonly host: string;
  readonly port: number;
  /** A unix socket: PostgreSQL's folder of it, MySQL's file; null: TCP. */
  readonly socket: string | null;
  readonly user: string | null;
  readonly password: string | null;
  readonly database: string;
  /** null: in clear. */
  readonly tls: ConnectionOptions | null;
  readonly connectTimeoutMs: number | null;
  readonly applicationName: string | null;
  /** PostgreSQL's command line options for the session: `-csearch_path=celery`. */
  readonly sessionOptions: string | null;
  readonly redacted: string;
  /** What the operator should hear about once. */
  readonly warnings: readonly string[];
}

export interface FileAddress {
  readonly dialect: "sqlite";
  /** Absolute. */
  readonly path: string;
  readonly redacted: string;
  readonly warnings: readonly string[];
}

export type SqlAddress = ServerAddress | FileAddress;

const SCHEMES: ReadonlyMap<string, SqlDialect> = new Map([
  ["postgresql", "postgresql"],
  ["postgres", "postgresql"],
  ["mysql", "mysql"],
  ["mariadb", "mysql"],
  ["sqlite", "sqlite"],
]);

const PORTS = { postgresql: 5432, mysql: 3306 } as const;

/** The options of a URL, by dialect. */
const OPTIONS: Readonly<Record<SqlDialect, readonly string[]>> = {
  postgresql: [
    "host",
    "port",
    "user",
    "password",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "connect_timeout",
    "application_name",
    "options",
  ],
  mysql: [
    "unix_socket",
    "charset",
    "ssl",
    "ssl_ca",
    "ssl_cert",
    "ssl_key",
    "ssl_verify_cert",
    "ssl_verify_identity",
    "ssl_check_hostname",
    "connect_timeout",
  ],
  sqlite: [],
};

/** Whether a URL names a SQL database, with or without `db+`. */
export function isSqlUrl(url: string): boolean {
  const scheme = /^(?:db\+)?([a-z]+)(?:\+[a-z0-9_]+)?:/i.exec(url)?.[1];
  return scheme !== undefined && SCHEMES.has(scheme.toLowerCase());
}

/** @throws ImproperlyConfigured `PET_URL_INVALID`, without the password in its text */
export function parseSqlUrl(url: string): SqlAddress {
  const match = /^(?:db\+)?([a-z]+)(?:\+[a-z0-9_]+)?:\/\/([^?#]*)(?:\?([^#]*))?$/i.exec(url.trim());
  const dialect = SCHEMES.get((match?.[1] ?? "").toLowerCase());
  if (match === null || dialect === undefined) throw invalid(url, "has another form");
  const place = match[2] ?? "";
  const options = new URLSearchParams(match[3] ?? "");
  for (const name of options.keys()) {
    if (!OPTIONS[dialect].includes(name))
      throw invalid(
        url,
        `has no option ${JSON.stringify(name)}, only ${OPTIONS[dialect].join(", ") || "none"}`,
      );
  }
  return dialect === "sqlite" ? readFile(url, place) : readServer(url, dialect, { place, options });
}

function readFile(url: string, place: string): FileAddress {
  const name = decoded(url, place.slice(1));
  if (!place.startsWith("/"))
    throw invalid(url, "names no file: it is sqlite:///relative/path.db or sqlite:////absolute/path.db");
  if (name === "" || name === ":memory:" || name.endsWith("/") || name.includes("\0"))
    throw invalid(url, "names no file, and a database in memory is shared by nobody");
  return { dialect: "sqlite", path: resolve(name), redacted: redactUrl(url), warnings: [] };
}

interface Source {
  readonly place: string;
  readonly options: URLSearchParams;
}

function readServer(url: string, dialect: "postgresql" | "mysql", source: Source): ServerAddress {
  const { options } = source;
  const slash = source.place.indexOf("/");
  const authority = slash < 0 ? source.place : source.place.slice(0, slash);
  const at = authority.lastIndexOf("@");
  const credentials = at < 0 ? "" : authority.slice(0, at);
  const colon = credentials.indexOf(":");
  const user = decoded(url, colon < 0 ? credentials : credentials.slice(0, colon));
  const password = colon < 0 ? "" : decoded(url, credentials.slice(colon + 1));
  const server = /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d*))?$/.exec(authority.slice(at + 1));
  if (server === null)
    throw invalid(
      url,
      "has a host that cannot be read (one host, IPv6 in brackets, a port that is a number)",
    );
  const given = decoded(url, server[1] ?? server[2] ?? "") || options.get("host") || "localhost";
  const database = decoded(url, slash < 0 ? "" : source.place.slice(slash + 1)) || options.get("dbname");
  if (!database) throw invalid(url, "names no database: add /name");
  const warnings: string[] = [];
  const portText = server[3] || options.get("port");
  const port = portText ? Number(portText) : PORTS[dialect];
  if (!(Number.isInteger(port) && port > 0 && port < 65536)) throw invalid(url, `has the port ${portText}`);
  const charset = options.get("charset");
  if (charset !== null && charset.toLowerCase() !== "utf8mb4")
    warnings.push(`charset=${charset} has no effect: it is always utf8mb4`);
  return {
    dialect,
    host: given,
    port,
    socket: dialect === "mysql" ? options.get("unix_socket") : given.startsWith("/") ? given : null,
    user: user || options.get("user"),
    password: password || options.get("password"),
    database,
    tls: dialect === "mysql" ? mysqlTls(url, options, warnings) : postgresTls(url, options, warnings),
    connectTimeoutMs: readTimeout(url, options.get("connect_timeout")),
    applicationName: options.get("application_name"),
    sessionOptions: options.get("options"),
    redacted: redactUrl(url),
    warnings,
  };
}

/** libpq's `sslmode`, but what is encrypted is also verified, unless the URL says `no-verify`. */
function postgresTls(url: string, options: URLSearchParams, warnings: string[]): ConnectionOptions | null {
  const mode = options.get("sslmode") ?? "disable";
  const files = {
    ...pem(url, options, { ca: "sslrootcert", cert: "sslcert", key: "sslkey" }),
  };
  switch (mode) {
    case "disable":
      if (Object.keys(files).length > 0)
        warnings.push("the certificates have no effect without sslmode=verify-full");
      return null;
    case "allow":
    case "prefer":
      warnings.push(`sslmode=${mode} is not encrypted here: for TLS say sslmode=verify-full`);
      return null;
    case "require":
    case "verify-full":
      return files;
    case "verify-ca":
      return { ...files, checkServerIdentity: () => undefined };
    case "no-verify":
      warnings.push("sslmode=no-verify switches certificate verification off");
      return { ...files, rejectUnauthorized: false };
    default:
      throw invalid(
        url,
        `has sslmode=${mode}, which is none of disable, require, verify-ca, verify-full, no-verify`,
      );
  }
}

/** PyMySQL's and mysqlclient's options; any of them means TLS. */
function mysqlTls(url: string, options: URLSearchParams, warnings: string[]): ConnectionOptions | null {
  const files = pem(url, options, { ca: "ssl_ca", cert: "ssl_cert", key: "ssl_key" });
  const flag = (name: string): boolean | null => {
    const text = options.get(name);
    if (text === null) return null;
    if (/^(?:1|true|yes|on)$/i.test(text)) return true;
    if (/^(?:0|false|no|off)$/i.test(text)) return false;
    throw invalid(url, `has ${name}=${text}, which is neither true nor false`);
  };
  const verify = flag("ssl_verify_cert");
  const identity = flag("ssl_verify_identity") ?? flag("ssl_check_hostname");
  const wanted = flag("ssl") ?? (Object.keys(files).length > 0 || verify !== null || identity !== null);
  if (!wanted) return null;
  if (verify === false) {
    warnings.push("ssl_verify_cert switches certificate verification off");
    return { ...files, rejectUnauthorized: false };
  }
  if (identity !== false) return files;
  warnings.push("the check of the host name is switched off");
  return { ...files, checkServerIdentity: () => undefined };
}

function pem(
  url: string,
  options: URLSearchParams,
  names: Readonly<Record<string, string>>,
): Record<string, Buffer> {
  const files: Record<string, Buffer> = {};
  for (const [target, name] of Object.entries(names)) {
    const path = options.get(name);
    if (path === null || path === "") continue;
    try {
      files[target] = readFileSync(path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? "unknown error";
      throw new ImproperlyConfigured(`${name} of ${redactUrl(url)}: cannot read ${path} (${code})`, {
        code: "PET_URL_INVALID",
        cause: error,
      });
    }
  }
  return files;
}

function readTimeout(url: string, text: string | null): number | null {
  if (text === null) return null;
  const seconds = text.trim() === "" ? Number.NaN : Number(text);
  if (Number.isFinite(seconds) && seconds > 0 && seconds <= 600) return seconds * 1000;
  throw invalid(url, `has connect_timeout=${text}; expected seconds, more than 0 and at most 600`);
}

function decoded(url: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(url, "holds a % that is no percent-encoding: write it as %25");
  }
}

function invalid(url: string, why: string): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `the database URL ${JSON.stringify(redactUrl(url))} ${why}; expected postgresql://user:password@host/name, mysql://user:password@host/name, or sqlite:///path.db, with special characters percent-encoded`,
    { code: "PET_URL_INVALID" },
  );
}
