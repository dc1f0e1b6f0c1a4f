/**
 * Values of `unacked`: `[message, exchange, routing_key]`. Ours are the message's bytes inside `[…,"",<queue>]`, so that
 * kombu's restore finds the queue without a binding and we get the bytes back as they were.
 * All functions take latin1 text, one character per byte.
 */

export interface UnackedValue {
  /** The envelope's bytes. */
  readonly raw: string;
  readonly exchange: string;
  readonly routingKey: string;
}

/** Reads the last two elements and leaves the message untouched. null: not such a value. */
export function parseUnackedValue(value: string): UnackedValue | null {
  if (!value.startsWith("[") || !value.endsWith("]")) return null;
  const routingKey = lastString(value, value.length - 1);
  if (routingKey === null) return null;
  const exchange = lastString(value, routingKey.before);
  if (exchange === null) return null;
  return {
    raw: value.slice(1, exchange.before),
    exchange: exchange.text,
    routingKey: routingKey.text,
  };
}

/** The value that puts `raw` back under `queue`. */
export function unackedValue(raw: string, queue: string): string {
  return `[${raw},"",${Buffer.from(JSON.stringify(queue)).toString("latin1")}]`;
}

/** The JSON string that ends before `end`, and where the comma in front of it is. */
function lastString(value: string, end: number): { readonly text: string; readonly before: number } | null {
  const close = value.slice(0, end).trimEnd().length - 1;
  if (value[close] !== '"') return null;
  let open = close - 1;
  for (; open > 0; open--) {
    if (value[open] !== '"') continue;
    let slashes = 0;
    while (value[open - 1 - slashes] === "\\") slashes += 1;
    if (slashes % 2 === 0) break;
  }
  if (open <= 0) return null;
  const before = value.slice(0, open).trimEnd().length - 1;
  if (value[before] !== ",") return null;
  try {
    const text = Buffer.from(value.slice(open, close + 1), "latin1").toString("utf8");
    return { text: JSON.parse(text) as string, before };
  } catch {
    return null;
  }
}
