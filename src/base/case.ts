/** Names in the spelling of TypeScript and of Python. */

/** `task_serializer` -> `taskSerializer`. */
export function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** `taskSerializer` -> `task_serializer`. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** An object with its keys in camelCase. Of two that spell the same the later one wins. No key can become `__proto__`. */
export function camelKeys(source: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(source).map(([key, value]) => [camelCase(key), value]));
}

/** An object with its keys in snake_case. */
export function snakeKeys(source: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(source).map(([key, value]) => [snakeCase(key), value]));
}
