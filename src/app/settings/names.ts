/**
 * A setting's spellings: `taskSerializer` here, `task_serializer` in Python, `CELERY_TASK_SERIALIZER` in the environment and
 * with the namespace CELERY. The old upper-case names follow no rule and are in the table.
 */

/** `task_serializer` -> `taskSerializer`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** `taskSerializer` -> `task_serializer`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** `taskSerializer`, `CELERY` -> `CELERY_TASK_SERIALIZER`; a lower-case namespace gives a lower-case name, as in Celery. */
export function namespaced(name: string, namespace: string): string {
  const joined = `${namespacePrefix(namespace)}${snakeCase(name)}`;
  return namespace === namespace.toUpperCase() ? joined.toUpperCase() : joined;
}

/** `CELERY` and `CELERY_` -> `CELERY_`. */
export function namespacePrefix(namespace: string): string {
  return namespace.endsWith("_") ? namespace : `${namespace}_`;
}

/** An object with its keys in camelCase. Of two that spell the same the later one wins. No key can become `__proto__`. */
export function camelKeys(source: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(source).map(([key, value]) => [camelCase(key), value]));
}
