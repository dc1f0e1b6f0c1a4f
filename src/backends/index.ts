/** Opens the backend that `result_backend` names. Each is loaded when first asked for. */

import { redactUrl } from "../base/redact-url.ts";
import { ImproperlyConfigured } from "../errors.ts";
import type { BackendOptions, ResultBackend } from "./backend.ts";
import { isSqlScheme } from "./sql-schemes.ts";

/** Schemes that are served, for messages. */
const SERVED =
  "redis://, rediss://, redis+socket://, unix://, sqlite:///path/to/file.db, db+postgresql://user@host/name, db+mysql://user@host/name, db+sqlite:///path/to/file.db, django-db, cache+memory:// or disabled://";

const NAMED = /^(?:django-db|database|django_celery_results\..*)$/;

/** What Celery has and this version does not: scheme -> what to say about it. */
const NOT_SERVED: readonly (readonly [RegExp, string])[] = [
  [
    NAMED,
    "it does not say where the database is: set databaseUrl too, e.g. to postgresql://user:password@host/name",
  ],
  [/^db\+/, "of databases PostgreSQL, MySQL, MariaDB and SQLite are"],
  [/^(?:sentinel)$/, "Redis Sentinel comes with a later version"],
  [/^(?:rpc|amqp|amqps|pyamqp)$/, "results over AMQP come with a later version"],
  [
    /^(?:django-cache|cache\+.*|cache|memcache|memcached|pymemcache|pylibmc)$/,
    "of the cache backends only cache+memory:// is served",
  ],
  [/^(?:file|filesystem)$/, "results in files are not served"],
];

type Open = (options: BackendOptions) => ResultBackend;

const redis = async (): Promise<Open> => (await import("./redis/index.ts")).openRedisBackend;
const memory = async (): Promise<Open> => (await import("./memory/index.ts")).openMemoryBackend;
const sqlite = async (): Promise<Open> => (await import("./sqlite/index.ts")).openSqliteBackend;
const sqlResults = async (): Promise<Open> => {
  await (await import("../sql/peer.ts")).requireKysely();
  return (await import("./sql/index.ts")).openSqlBackend;
};
const disabled = async (): Promise<Open> => (await import("./disabled.ts")).openDisabledBackend;

const OPENERS: ReadonlyMap<string, () => Promise<Open>> = new Map([
  ["redis", redis],
  ["rediss", redis],
  ["redis+socket", redis],
  ["socket", redis],
  ["unix", redis],
  ["sqlite", sqlite],
  ["memory", memory],
  ["cache+memory", memory],
  ["disabled", disabled],
  ["", disabled],
]);

/**
 * A backend, not started. An empty URL or `disabled` is the backend that stores nothing.
 *
 * @throws ImproperlyConfigured `PET_URL_INVALID`, without the password in its text
 */
export async function openBackend(options: BackendOptions): Promise<ResultBackend> {
  const url = options.url.trim();
  // `django-db`, `rpc`, `disabled`: Celery takes bare names too.
  const scheme = (/^([a-z][a-z0-9+.-]*)(?::|$)/i.exec(url)?.[1] ?? url).toLowerCase();
  const load = isSqlScheme(scheme) ? sqlResults : OPENERS.get(scheme);
  if (load === undefined) throw notServed(url, scheme);
  const open = await load();
  return open(url === options.url ? options : { ...options, url });
}

function notServed(url: string, scheme: string): ImproperlyConfigured {
  const known = NOT_SERVED.find(([pattern]) => pattern.test(scheme));
  return new ImproperlyConfigured(
    `the result backend ${JSON.stringify(redactUrl(url))} is not served${known ? ` (${known[1]})` : ""}: set resultBackend to ${SERVED}`,
    { code: "PET_URL_INVALID" },
  );
}
