/** Opens the transport that a broker URL names. Each is loaded when first asked for. */
import { ImproperlyConfigured } from "../errors.ts";
import { redactUrl } from "../redis/url.ts";
import type { Transport, TransportOptions } from "./transport.ts";

/** Schemes that are served, for messages. */
const SERVED = "redis://, rediss://, redis+socket://, unix://, memory://";

/** Schemes that Celery knows and a later version will serve. */
const LATER: ReadonlySet<string> = new Set(["amqp", "amqps", "pyamqp", "sentinel", "sqlite"]);

type Open = (options: TransportOptions) => Transport;

const redis = async (): Promise<Open> => (await import("./redis/index.ts")).openRedisTransport;
const memory = async (): Promise<Open> => (await import("./memory/index.ts")).openMemoryTransport;

const OPENERS: ReadonlyMap<string, () => Promise<Open>> = new Map([
  ["redis", redis],
  ["rediss", redis],
  ["redis+socket", redis],
  ["socket", redis],
  ["unix", redis],
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
 * A transport, not started. Of several URLs the first is opened.
 *
 * @throws ImproperlyConfigured `PET_URL_INVALID`, without the password in its text
 */
export async function openTransport(options: TransportOptions): Promise<Transport> {
  const [url = ""] = splitUrls(options.url);
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase() ?? "";
  const load = OPENERS.get(scheme);
  if (load === undefined) throw notServed(url, scheme);
  const open = await load();
  return open(url === options.url ? options : { ...options, url });
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
