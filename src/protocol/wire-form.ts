/** What encoders share on the form in which an object travels. */

/** Deepest nesting that is sent: the default limit of what is decoded. */
export const MAX_DEPTH = 200;

/** Years 1 to 9999 are what `datetime` holds. */
export function isPythonDate(ms: number): boolean {
  return ms >= -62_135_596_800_000 && ms < 253_402_300_800_000;
}

/**
 * The data of an object that travels in another form: a signature (`toJSON` gives Celery's JSON form), or an object of
 * another realm that is plain there. null: it does not travel.
 */
export function wireForm(value: object): Readonly<Record<string, unknown>> | null {
  const { toJSON } = value as { toJSON?: unknown };
  if (typeof toJSON === "function") {
    const data = Reflect.apply(toJSON, value, []) as Record<string, unknown> | null;
    const isSignature =
      typeof data === "object" &&
      data !== null &&
      typeof data["task"] === "string" &&
      Array.isArray(data["args"]);
    return isSignature ? data : null;
  }
  const prototype = Object.getPrototypeOf(value) as object | null;
  const foreignPlain =
    prototype !== null &&
    Object.getPrototypeOf(prototype) === null &&
    Object.hasOwn(prototype, "isPrototypeOf") &&
    !(value instanceof Object);
  return foreignPlain ? Object.fromEntries(Object.entries(value)) : null;
}
