/** Names of worker nodes: `name@host`. Python: `celery.utils.nodenames`. */

/** Name of a node that was given none. */
export const DEFAULT_NODE_NAME = "celery";

/** `name@host`. */
export function nodeName(name: string, host: string): string {
  return `${name}@${host}`;
}

/** The exchange of the queues that workers have for themselves. Python: `WORKER_DIRECT_EXCHANGE`. */
export const WORKER_DIRECT_EXCHANGE = "C.dq2";
const DIRECT_SUFFIX = ".dq2";

/**
 * The queue of one worker, to be given as a task's `queue`: with the setting `workerDirect` each worker consumes its own.
 * Python: `celery.utils.nodenames.worker_direct`.
 *
 * @param hostname - node name: `w1@example.com`
 */
export function workerDirect(hostname: string): string {
  return hostname + DIRECT_SUFFIX;
}

/** The worker whose own queue it is; null: no worker's. */
export function workerOfDirectQueue(queue: string): string | null {
  const hostname = queue.slice(0, -DIRECT_SUFFIX.length);
  return queue.endsWith(DIRECT_SUFFIX) && hostname.includes("@") ? hostname : null;
}

/** Takes a node name apart; a text without `@` is a host. */
export function splitNodeName(node: string): { readonly name: string; readonly host: string } {
  const at = node.indexOf("@");
  if (at === -1) return { name: DEFAULT_NODE_NAME, host: node };
  return { name: node.slice(0, at) || DEFAULT_NODE_NAME, host: node.slice(at + 1) };
}

/**
 * Node name from what `-n` says: `%h` is the host, `%n` its part before the first dot, `%d` the rest, `%%` a percent sign.
 *
 * @param template - empty or null: `celery@host`
 */
export function expandNodeName(template: string | null | undefined, host: string): string {
  const { name, host: given } = splitNodeName(template ?? "");
  const dot = host.indexOf(".");
  const short = dot === -1 ? host : host.slice(0, dot);
  return expand(nodeName(name, given || host), {
    h: host,
    n: short,
    d: dot === -1 ? "" : host.slice(dot + 1),
  });
}

/**
 * File name of a node, as `-f` and `--pidfile` take it: `%n` is the node's name, `%h` its host, `%d` the host's domain,
 * `%i` and `%I` the pool process (`0` and nothing in the parent).
 */
export function expandFileName(template: string, node: string): string {
  const { name, host } = splitNodeName(node);
  const dot = host.indexOf(".");
  return expand(template, { h: host, n: name, d: dot === -1 ? "" : host.slice(dot + 1), i: "0", I: "" });
}

function expand(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/%(.)/gs, (whole, key: string) => {
    if (key === "%") return "%";
    return Object.hasOwn(values, key) ? (values[key] ?? whole) : whole;
  });
}
