/** The kinds of value a setting can have: what is accepted, how a value is checked, how text of the environment is read. */

/** One kind of value. null and undefined are the row's affair and never reach it. */
export interface ValueType<out T> {
  /** What is accepted, as the end of "… accepts": `a number of seconds`. */
  readonly accepts: string;
  /** The value in its final form, or undefined when it is of another kind. Throws {@link BadValue} with a closer reason. */
  readonly read: (value: unknown) => T | undefined;
  /** Text of the environment as a value for {@link read}; what cannot be understood is given back as it is. */
  readonly fromText: (text: string) => unknown;
}

/** Why a value is not accepted, where "another kind" is not enough. Caught by the configuration, which names the setting. */
export class BadValue extends Error {}

const SAME = (text: string): unknown => text;

/** An object made by `{}`, by a module or by `Object.create(null)`: not an array, not a class instance. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null;
}

const TRUE = /^(1|true|yes|on|y|t)$/i;
const FALSE = /^(0|false|no|off|n|f)$/i;

export const boolean: ValueType<boolean> = {
  accepts: "true or false",
  read: (value) => (typeof value === "boolean" ? value : undefined),
  fromText: (text) => TRUE.test(text) || (FALSE.test(text) ? false : text),
};

interface Range {
  readonly min?: number;
  readonly max?: number;
  /** Infinity is allowed. */
  readonly infinity?: boolean;
}

function within(value: number, range: Range): boolean {
  if (Number.isNaN(value) || (!Number.isFinite(value) && !range.infinity)) return false;
  return value >= (range.min ?? -Infinity) && value <= (range.max ?? Infinity);
}

function rangeText(range: Range): string {
  const parts: string[] = [];
  if (range.min !== undefined && range.max !== undefined) parts.push(`from ${range.min} to ${range.max}`);
  else if (range.min !== undefined) parts.push(`${range.min} or more`);
  if (range.infinity) parts.push("Infinity allowed");
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

/** "12", "1e3", "inf". */
function numberFromText(text: string): unknown {
  if (/^[+-]?inf(inity)?$/i.test(text)) return text.startsWith("-") ? -Infinity : Infinity;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
}

export function integer(range: Range = {}): ValueType<number> {
  return {
    accepts: `a whole number${rangeText(range)}`,
    read: (value) =>
      typeof value === "number" &&
      within(value, range) &&
      (Number.isSafeInteger(value) || !Number.isFinite(value))
        ? value
        : undefined,
    fromText: numberFromText,
  };
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

/** "90", "1.5", "inf", "500ms", "1h30m" in seconds. */
function secondsFromText(text: string): unknown {
  const compact = text.replaceAll(" ", "");
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(compact)) return numberFromText(text);
  let total = 0;
  for (const [, amount, unit] of compact.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (DURATION_UNITS[unit ?? "s"] ?? 1);
  }
  return total;
}

/** Seconds as a number, or a duration object that can say its total: `Temporal.Duration`. */
export function seconds(range: Range = { min: 0 }): ValueType<number> {
  return {
    accepts: `a number of seconds${rangeText(range)}`,
    read(value) {
      const plain = typeof value === "object" && value !== null ? totalSeconds(value) : value;
      return typeof plain === "number" && within(plain, range) ? plain : undefined;
    },
    fromText: secondsFromText,
  };
}

function totalSeconds(value: object): unknown {
  const total: unknown = (value as { readonly total?: unknown }).total;
  return typeof total === "function" ? (total.call(value, "seconds") as unknown) : undefined;
}

export const anyText: ValueType<string> = {
  accepts: "a string",
  read: (value) => (typeof value === "string" ? value : undefined),
  fromText: SAME,
};

/** A name that must not be empty. */
export const word: ValueType<string> = {
  accepts: "a string that is not empty",
  read: (value) => (typeof value === "string" && value !== "" ? value : undefined),
  fromText: SAME,
};

/** One of a few words; `open` lets any other string through (names of things a user may register). */
export function oneOf<T extends string>(values: readonly T[]): ValueType<T> {
  return {
    accepts: values.map((one) => JSON.stringify(one)).join(", "),
    read: (value) => values.find((one) => one === value),
    fromText: SAME,
  };
}

/** One of a few numbers. */
export function oneOfNumbers<T extends number>(values: readonly T[]): ValueType<T> {
  return {
    accepts: values.join(" or "),
    read: (value) => values.find((one) => one === value),
    fromText: numberFromText,
  };
}

function jsonFromText(textValue: string): unknown {
  try {
    return JSON.parse(textValue) as unknown;
  } catch {
    return textValue;
  }
}

/** Comma-separated, or a JSON array. */
function listFromText(textValue: string): unknown {
  if (textValue.trimStart().startsWith("[")) return jsonFromText(textValue);
  return textValue
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** Strings. A single string is a list of one, a Set a list, as in Celery. */
export const strings: ValueType<readonly string[]> = {
  accepts: "an array of strings",
  read(value) {
    const items: unknown = typeof value === "string" ? [value] : value instanceof Set ? [...value] : value;
    if (!Array.isArray(items) || !items.every((one) => typeof one === "string" && one !== ""))
      return undefined;
    return Object.freeze([...(items as readonly string[])]);
  },
  fromText: listFromText,
};

/** One URL, or several that are tried in turn (`;` between them in a string). */
export const urls: ValueType<string | readonly string[]> = {
  accepts: "a URL, or an array of URLs",
  read(value) {
    if (typeof value === "string") return value === "" ? undefined : value;
    return strings.read(value);
  },
  fromText: SAME,
};

/** An object with any properties, as a frozen copy: a change to the given one changes no setting. */
export const record: ValueType<Readonly<Record<string, unknown>>> = {
  accepts: "an object",
  read: (value) => (isRecord(value) ? Object.freeze({ ...value }) : undefined),
  fromText: jsonFromText,
};

/** An object whose values are strings. */
export const stringRecord: ValueType<Readonly<Record<string, string>>> = {
  accepts: "an object of strings",
  read: (value) =>
    isRecord(value) && Object.values(value).every((one) => typeof one === "string")
      ? Object.freeze({ ...(value as Readonly<Record<string, string>>) })
      : undefined,
  fromText: jsonFromText,
};

/** A rate: a number per second, or "10/s", "100/m", "1000/h". */
export const rate: ValueType<string | number> = {
  accepts: 'a number per second, or a rate such as "100/m" (s, m, h)',
  read(value) {
    if (typeof value === "number") return within(value, { min: 0 }) ? value : undefined;
    return typeof value === "string" && /^\d+(\.\d+)?(\/[smh])?$/.test(value) ? value : undefined;
  },
  fromText: SAME,
};

/** A name of the IANA time zone database. */
export const timezone: ValueType<string> = {
  accepts: 'a time zone of the IANA database, such as "Europe/Berlin"',
  read(value) {
    if (typeof value !== "string") return undefined;
    try {
      return Intl.DateTimeFormat("en", { timeZone: value }).resolvedOptions().timeZone === ""
        ? undefined
        : value;
    } catch {
      return undefined;
    }
  },
  fromText: SAME,
};

/** A name, or the number that stands for it. */
export const nameOrNumber: ValueType<string | number> = {
  accepts: "a string or a whole number",
  read: (value) => (Number.isSafeInteger(value) ? (value as number) : word.read(value)),
  fromText: SAME,
};
