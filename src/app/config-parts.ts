/** URLs: put together from Celery's old-style settings, and taken apart into the servers to try. */
import { ImproperlyConfigured } from "../errors.ts";
import type { ResolvedSettings } from "./internals.ts";
import type { SettingName } from "./settings.ts";

type Read = (name: SettingName) => unknown;

/** The URL that `broker_transport`, `broker_host`, … mean; null when neither of these two is set. */
export function brokerUrlFromParts(read: Read): string | null {
  const host = read("brokerHost");
  const transport = read("brokerTransport");
  if (host === null && transport === null) return null;
  if (typeof host === "string" && host.includes("://")) return host;
  return url(textOf(transport) || "amqp", {
    user: read("brokerUser"),
    password: read("brokerPassword"),
    host: host ?? "localhost",
    port: read("brokerPort"),
    path: read("brokerVhost"),
  });
}

/** Names of the backend that Django's tables are, and of Celery's for SQL; they say nothing of where the database is. */
const IN_DATABASE: readonly unknown[] = [
  "django-db",
  "database",
  "django_celery_results.backends:DatabaseBackend",
  "django_celery_results.backends.DatabaseBackend",
  "django_celery_results.backends.database:DatabaseBackend",
  "django_celery_results.backends.database.DatabaseBackend",
];

/** The URL that a name means, with other settings. */
export function resultBackendOf(value: unknown, read: Read): unknown {
  if (value === "redis") return redisFromParts(read);
  if (!IN_DATABASE.includes(value)) return value;
  const database = read("databaseUrl");
  // Without Celery's mark a SQLite file is Petiole's own, with tables of its own.
  return typeof database === "string" && /^sqlite[:+]/i.test(database)
    ? `db+${database}`
    : (database ?? value);
}

/** The URL that `redis_host`, `redis_port`, … mean with `result_backend = "redis"`. A host with `/` is a socket's path. */
function redisFromParts(read: Read): string {
  const host = textOf(read("redisHost")) || "localhost";
  const database = read("redisDb") ?? 0;
  const user = read("redisUsername");
  const password = read("redisPassword");
  if (host.includes("/")) {
    return `${url("redis+socket", { user, password, host: "", port: null, path: host })}?virtual_host=${textOf(database)}`;
  }
  return url("redis", { user, password, host, port: read("redisPort"), path: database });
}

interface Parts {
  readonly user: unknown;
  readonly password: unknown;
  readonly host: unknown;
  readonly port: unknown;
  readonly path: unknown;
}

function url(scheme: string, parts: Parts): string {
  const user = encodeURIComponent(textOf(parts.user));
  const password = parts.password === null ? "" : `:${encodeURIComponent(textOf(parts.password))}`;
  const login = user || password ? `${user}${password}@` : "";
  const host = textOf(parts.host);
  const address = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const port = parts.port === null || parts.port === 0 ? "" : `:${textOf(parts.port)}`;
  return `${scheme}://${login}${address}${port}/${textOf(parts.path).replace(/^\//, "")}`;
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/**
 * The servers to try in turn.
 *
 * @param use - `read` consumes, `write` sends
 * @throws ImproperlyConfigured without any
 */
export function brokerUrls(settings: ResolvedSettings, use: "read" | "write"): readonly string[] {
  const given = use === "read" ? settings.brokerReadUrl : settings.brokerWriteUrl;
  const all = given === null ? [] : typeof given === "string" ? [given] : given;
  const urls = all.flatMap((one) => one.split(";")).map((one) => one.trim());
  const found = urls.filter((one) => one !== "");
  if (found.length > 0) return found;
  throw new ImproperlyConfigured(
    'no broker is set: give brokerUrl (for example "redis://localhost:6379/0") to the app, set CELERY_BROKER_URL, or start the program with -b',
  );
}
