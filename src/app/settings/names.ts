/**
 * A setting's spellings: `taskSerializer` here, `task_serializer` in Python, `CELERY_TASK_SERIALIZER` in the environment and
 * with the namespace CELERY. The old upper-case names follow no rule and are in the table.
 */
import { snakeCase } from "../../base/case.ts";

/** `taskSerializer`, `CELERY` -> `CELERY_TASK_SERIALIZER`; a lower-case namespace gives a lower-case name, as in Celery. */
export function namespaced(name: string, namespace: string): string {
  const joined = `${namespacePrefix(namespace)}${snakeCase(name)}`;
  return namespace === namespace.toUpperCase() ? joined.toUpperCase() : joined;
}

/** `CELERY` and `CELERY_` -> `CELERY_`. */
export function namespacePrefix(namespace: string): string {
  return namespace.endsWith("_") ? namespace : `${namespace}_`;
}
