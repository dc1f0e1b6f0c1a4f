/** Opens the transport that a broker URL names. Each is loaded when first asked for. */

import { redactUrl } from "../base/redact-url.ts";
import { ImproperlyConfigured } from "../errors.ts";
import type { Candidate } from "./failover.ts";
import type { Transport, TransportOptions } from "./transport.ts";

/** Schemes that are served, for messages. */
const SERVED = "redis://, rediss://, redis+socket://, unix://, sqlite:///path/to/file.db, memory://";

/** Schemes that Celery knows and a later version will serve. */
const LATER: ReadonlySet<string> = new Set(["amqp", "amqps", "pyamqp", "sentinel"]);

type Open = (options: TransportOptions) => Transport;

const redis = async (): Promise<Open> => (await import("./redis/index.ts")).openRedisTransport;
const memory = async (): Promise<Open> => (await import("./memory/index.ts")).openMemoryTransport;

const sqlite = async (): Promise<Open> => (await import("./sqlite/index.ts")).openSqliteTransport;

const OPENERS: ReadonlyMap<string, () => Promise<Open>> = new Map([
  ["redis", redis],
  ["rediss", redis],
  ["redis+socket", redis],
  ["socket", redis],
  ["unix", redis],
  ["sqlite", sqlite],
  ["memory", memory],
]);

/** `broker_url` may hold several, separated by `;`: in the order they are to be tried. */
export function splitUrls(url: string): readonly string[] {
  return url
    .split(";")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}

/**
 * A transport, not started. Of several URLs the first that answers at its start is used.
 *
 * @throws ImproperlyConfigured `PET_URL_INVALID`, without the password in its text
 */
export async function openTransport(options: TransportOptions): Promise<Transport> {
  const [url = "", ...others] = splitUrls(options.url);
  const open = await openerOf(url);
  if (others.length === 0) return open(url === options.url ? options : { ...options, url });
  const { FailoverTransport } = await import("./failover.ts");
  const candidate = (one: string, opener: Open): Candidate => ({
    url: one,
    open: () => opener({ ...options, url: one }),
  });
  const rest = await Promise.all(others.map(async (one) => candidate(one, await openerOf(one))));
  return new FailoverTransport([candidate(url, open), ...rest], options.logger);
}

async function openerOf(url: string): Promise<Open> {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? "";
  const load = OPENERS.get(scheme);
  if (load === undefined) throw notServed(url, scheme);
  return load();
}

function notServed(url: string, scheme: string): ImproperlyConfigured {
  const shown = JSON.stringify(redactUrl(url));
  const why = scheme === "" ? "has no scheme" : `has the scheme ${scheme}://, which is not served`;
  const later = LATER.has(scheme) ? ` ${scheme}:// comes with a later version.` : "";
  return new ImproperlyConfigured(
    `the broker URL ${shown} ${why}: set brokerUrl to one of ${SERVED}.${later}`,
    { code: "PET_URL_INVALID" },
  );
}
