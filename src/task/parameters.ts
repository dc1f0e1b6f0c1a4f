/**
 * How the arguments of a message reach a function. Python binds by name and by position; here the names come from the
 * option `params`, from the `input` schema, or from the function's own source.
 *
 * A call by position alone, with no more arguments than the function asks for, binds without looking at any name.
 *
 * A source says which parameters there are, not which are required: TypeScript's `y?: number` leaves no trace. So what is
 * missing is undefined, as in any call of JavaScript; `params` and `input` say more, and are held to it.
 */
import type { TaskDefinition } from "./definition.ts";
import { readParameters, type SourceParameter, type SourceProperty } from "./parameter-source.ts";

/** One parameter that is filled by position, or by name. */
interface Positional {
  /** null: it cannot be named (a pattern). */
  readonly name: string | null;
  readonly shown: string;
  readonly optional: boolean;
  /** Properties of an object pattern: keyword arguments of these names make up the object. */
  readonly properties: readonly SourceProperty[] | null;
  readonly open: boolean;
}

/** A task's parameters, its context left out. */
export interface Parameters {
  readonly positional: readonly Positional[];
  /** `spread`: JavaScript's `...rest`. `array`: Python's `*args`, one array behind the positional ones. */
  readonly rest: "none" | "spread" | "array";
  readonly keywordOnly: readonly { readonly name: string; readonly optional: boolean }[];
  /** `**kwargs`: what no parameter takes. */
  readonly anyKeyword: boolean;
  /** Which ones are required is known. */
  readonly strict: boolean;
  /** As written, for messages. */
  readonly text: string;
  /** So many arguments, by position alone, are the function's own as they came; null: never. */
  readonly bare: { readonly least: number; readonly most: number } | null;
}

type Kwargs = Readonly<Record<string, unknown>>;

/** Read once for each task. */
const cache = new WeakMap<TaskDefinition, Parameters | null>();

/** The parameters of a task; null when they cannot be known (a native or bound function without `params`). */
export function parametersOf(definition: TaskDefinition): Parameters | null {
  let known = cache.get(definition);
  if (known === undefined) {
    known = definition.params === null ? fromSource(definition) : fromOption(definition.params);
    cache.set(definition, known);
  }
  return known;
}

/** Python's forms: `x`, `y=`, `*args`, `*`, `key=`, `**kwargs`. */
function fromOption(params: readonly string[]): Parameters {
  const positional: Positional[] = [];
  const keywordOnly: { name: string; optional: boolean }[] = [];
  let rest: Parameters["rest"] = "none";
  let behindStar = false;
  let anyKeyword = false;
  for (const param of params) {
    const name = param.replace(/^\*+|=.*$/gs, "").trim();
    const optional = param.includes("=");
    if (param.startsWith("**")) anyKeyword = true;
    else if (param.startsWith("*")) {
      behindStar = true;
      if (name !== "") rest = "array";
    } else if (behindStar) keywordOnly.push({ name, optional });
    else if (name !== "/") positional.push({ name, shown: param, optional, properties: null, open: false });
  }
  const isBare = rest === "none" && keywordOnly.length === 0 && !anyKeyword;
  const text = params.join(", ");
  return {
    positional,
    rest,
    keywordOnly,
    anyKeyword,
    strict: true,
    text,
    bare: isBare ? bareCounts(positional) : null,
  };
}

function fromSource(definition: TaskDefinition): Parameters | null {
  const read = readParameters(definition.fn);
  if (read === null) return null;
  const own = definition.bound ? read.slice(1) : read;
  const positional = own.filter((one) => one.kind !== "rest").map(fromSourceParameter);
  const rest = own.some((one) => one.kind === "rest") ? "spread" : "none";
  return {
    positional,
    rest,
    keywordOnly: [],
    anyKeyword: false,
    strict: false,
    text: own
      .map(
        (one) =>
          `${one.kind === "rest" ? "..." : ""}${one.name}${one.optional && one.kind !== "rest" ? "=" : ""}`,
      )
      .join(", "),
    bare: rest === "none" ? bareCounts(positional) : null,
  };
}

function bareCounts(positional: readonly Positional[]): Parameters["bare"] {
  return { least: positional.findLastIndex((one) => !one.optional) + 1, most: positional.length };
}

function fromSourceParameter(one: SourceParameter): Positional {
  return {
    name: one.kind === "name" ? one.name : null,
    shown: one.name,
    optional: true,
    properties: one.properties,
    open: one.open,
  };
}

/**
 * The arguments to call a task's function with, its context left out.
 *
 * @throws TypeError in Python's words, with the task, its parameters and what came
 */
export function bindArguments(
  definition: TaskDefinition,
  args: readonly unknown[],
  kwargs: Kwargs,
): readonly unknown[] {
  if (definition.params === null && isEmpty(kwargs)) {
    const wanted = definition.fn.length - (definition.bound ? 1 : 0);
    if (args.length <= wanted) return args;
  }
  const parameters = parametersOf(definition);
  if (parameters === null) {
    if (isEmpty(kwargs)) return args;
    throw new TypeError(
      `${definition.name}() got keyword arguments (${Object.keys(kwargs).join(", ")}), and its parameters cannot be read from its function: give them in the task's option params`,
    );
  }
  const { bare } = parameters;
  if (bare !== null && args.length >= bare.least && args.length <= bare.most && isEmpty(kwargs)) return args;
  return new Binding(definition.name, parameters, { args, kwargs }).bind();
}

/** Whether an object has no property; no allocation. */
export function isEmpty(record: Kwargs): boolean {
  for (const _ in record) return false;
  return true;
}

class Binding {
  readonly #task: string;
  readonly #parameters: Parameters;
  readonly #args: readonly unknown[];
  readonly #kwargs: Kwargs;

  constructor(
    task: string,
    parameters: Parameters,
    given: { readonly args: readonly unknown[]; readonly kwargs: Kwargs },
  ) {
    this.#task = task;
    this.#parameters = parameters;
    this.#args = given.args;
    this.#kwargs = given.kwargs;
  }

  bind(): readonly unknown[] {
    const { positional, rest, keywordOnly, anyKeyword } = this.#parameters;
    const count = positional.length;
    if (this.#args.length > count && rest === "none") this.#tooMany();
    const values: unknown[] = this.#args.slice(0, count);
    const filled = positional.map((_, index) => index < values.length);
    const left = this.#fillByName(values, filled);
    const byPattern = this.#fillPattern({ values, filled }, left);
    const missing = positional
      .filter((one, index) => !filled[index] && !one.optional)
      .map((one) => one.shown);
    if (missing.length > 0) this.#missing("positional", missing);
    const keywords = keywordOnly.length > 0 || anyKeyword ? this.#keywords(left) : null;
    const unknown = Object.keys(left).find((name) => !byPattern.has(name));
    if (keywords === null && unknown !== undefined) {
      this.#fail(`got an unexpected keyword argument '${unknown}'`);
    }
    if (rest === "none" && keywords === null) return values;
    while (values.length < count) values.push(undefined);
    if (rest === "spread") values.push(...this.#args.slice(count));
    if (rest === "array") values.push(this.#args.slice(count));
    if (keywords !== null) values.push(keywords);
    return values;
  }

  /** Keyword arguments that name a positional parameter; returns the others. */
  #fillByName(values: unknown[], filled: boolean[]): Kwargs {
    const left: [string, unknown][] = [];
    for (const [name, value] of Object.entries(this.#kwargs)) {
      const index = this.#parameters.positional.findIndex((one) => one.name === name);
      if (index === -1) {
        left.push([name, value]);
        continue;
      }
      if (filled[index]) this.#fail(`got multiple values for argument '${name}'`);
      values[index] = value;
      filled[index] = true;
    }
    return Object.fromEntries(left);
  }

  /** `({ width, height = 3 }) => …` takes the keyword arguments of these names as its object. Returns their names. */
  #fillPattern(
    into: { readonly values: unknown[]; readonly filled: boolean[] },
    left: Kwargs,
  ): ReadonlySet<string> {
    const index = this.#parameters.positional.findLastIndex((one) => one.properties !== null);
    const pattern = this.#parameters.positional[index];
    if (pattern === undefined || into.filled[index] || isEmpty(left)) return new Set();
    const properties = pattern.properties ?? [];
    const names = Object.keys(left).filter(
      (name) => pattern.open || properties.some((one) => one.name === name),
    );
    if (names.length === 0) return new Set();
    into.values[index] = Object.fromEntries(names.map((name) => [name, left[name]]));
    into.filled[index] = true;
    return new Set(names);
  }

  /** The object of keyword-only parameters and `**kwargs`. */
  #keywords(left: Kwargs): Kwargs {
    const { keywordOnly, anyKeyword } = this.#parameters;
    const missing = keywordOnly.filter((one) => !one.optional && !Object.hasOwn(left, one.name));
    if (missing.length > 0)
      this.#missing(
        "keyword-only",
        missing.map((one) => one.name),
      );
    const unknown = Object.keys(left).find((name) => !keywordOnly.some((one) => one.name === name));
    if (unknown !== undefined && !anyKeyword) this.#fail(`got an unexpected keyword argument '${unknown}'`);
    return left;
  }

  #tooMany(): never {
    const { positional, strict } = this.#parameters;
    const required = positional.filter((one) => !one.optional).length;
    const most = positional.length;
    const takes = required === most || !strict ? `${most}` : `from ${required} to ${most}`;
    const were = this.#args.length === 1 ? "was" : "were";
    this.#fail(
      `takes ${takes} positional argument${most === 1 ? "" : "s"} but ${this.#args.length} ${were} given`,
    );
  }

  #missing(kind: string, names: readonly string[]): never {
    const quoted = names.map((name) => `'${name}'`);
    const last = quoted.pop() ?? "";
    const list =
      quoted.length === 0 ? last : `${quoted.join(", ")}${quoted.length > 1 ? "," : ""} and ${last}`;
    this.#fail(`missing ${names.length} required ${kind} argument${names.length === 1 ? "" : "s"}: ${list}`);
  }

  #fail(problem: string): never {
    const names = Object.keys(this.#kwargs);
    const came = names.length === 0 ? "no keywords" : `keywords ${names.slice(0, 20).join(", ")}`;
    throw new TypeError(
      `${this.#task}() ${problem} (its parameters: ${this.#parameters.text || "none"}; came: ${this.#args.length} by position, ${came})`,
    );
  }
}
