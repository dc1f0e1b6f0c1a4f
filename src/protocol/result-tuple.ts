/**
 * Result tuples: how a result of a task stands inside another's (`children`, a returned `AsyncResult`).
 * `[[id, parent], null]` is an AsyncResult, `[[id, parent], [children]]` a GroupResult; a parent is a tuple or null.
 */

/** A result tuple taken apart. */
export interface ResultNode {
  readonly id: string;
  readonly parent: ResultNode | null;
  /** null: an AsyncResult; else a GroupResult's members. */
  readonly children: readonly ResultNode[] | null;
}

/** A result tuple on the wire. */
export type ResultTuple = readonly [
  readonly [id: string, parent: ResultTuple | null],
  readonly ResultTuple[] | null,
];

/**
 * The tuple of a handle (what its `toJSON` gives), or the value as it is. A task that returns a handle stores its tuple, as
 * in Celery.
 */
export function tupleOrValue(value: unknown): unknown {
  const leaf =
    typeof value !== "object" || value === null || value instanceof Date || value instanceof Uint8Array;
  if (leaf) return value;
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON !== "function") return value;
  const data: unknown = Reflect.apply(toJSON, value, []);
  return readResultTuple(data) === null ? value : data;
}

/** The tuple of a task's result. */
export function resultTuple(id: string, parent: ResultTuple | null = null): ResultTuple {
  return [[id, parent], null];
}

/** The tuple of a group's result. */
export function groupTuple(
  id: string,
  children: readonly ResultTuple[],
  parent: ResultTuple | null = null,
): ResultTuple {
  return [[id, parent], children];
}

/** The tuple of what {@link readResultTuple} gave. */
export function writeResultTuple(node: ResultNode): ResultTuple {
  const parent = node.parent === null ? null : writeResultTuple(node.parent);
  return [[node.id, parent], node.children === null ? null : node.children.map(writeResultTuple)];
}

/** Reads a result tuple, also the short form `[id, null]`; null when the value is none. */
export function readResultTuple(value: unknown): ResultNode | null {
  if (!Array.isArray(value) || value.length !== 2) return null;
  const [head, tail] = value as readonly unknown[];
  const [id, parent] = Array.isArray(head) ? (head as readonly unknown[]) : [head, null];
  if (typeof id !== "string" || (Array.isArray(head) && head.length !== 2)) return null;
  const above = parent === null || parent === undefined ? null : readResultTuple(parent);
  if (above === null && parent != null) return null;
  if (tail === null) return { id, parent: above, children: null };
  if (!Array.isArray(tail)) return null;
  const children = tail.map(readResultTuple);
  return children.every((child) => child !== null) ? { id, parent: above, children } : null;
}
