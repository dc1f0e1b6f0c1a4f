import { runInThisContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TaskDefinition } from "../../../src/task/definition.ts";
import { readParameters } from "../../../src/task/parameter-source.ts";
import { bindArguments, parametersOf } from "../../../src/task/parameters.ts";
import { seed } from "../../support/seed.ts";

type AnyFn = (...args: never[]) => unknown;

function definition(fn: AnyFn, parts: Partial<TaskDefinition> = {}): TaskDefinition {
  return {
    name: "shop.f",
    fn,
    bound: false,
    params: null,
    input: null,
    output: null,
    ...parts,
  } as TaskDefinition;
}

/** A function made of its source text, so that the text is exactly as written here. */
function made(source: string): AnyFn {
  return runInThisContext(`(${source})`) as AnyFn;
}

const shown = (fn: AnyFn): unknown =>
  readParameters(fn)?.map(
    (one) =>
      `${one.kind === "rest" ? "..." : ""}${one.name}${one.optional && one.kind !== "rest" ? "=" : ""}`,
  );

describe("parameters are read from the source of", () => {
  test.each<[string, string[]]>([
    ["(a, b) => a", ["a", "b"]],
    ["() => 1", []],
    ["a => a", ["a"]],
    ["async a => a", ["a"]],
    ["async (a, b = 2) => a", ["a", "b="]],
    ["function (a) {}", ["a"]],
    ["function named(a, b) { return (c, d) => c; }", ["a", "b"]],
    ["async function named(a) {}", ["a"]],
    ["function* named(a) {}", ["a"]],
    ["(a, ...rest) => a", ["a", "...rest"]],
    ["(a, b = (1, 2), c) => a", ["a", "b=", "c"]],
    ["(a = ')', b = \"(\", c = `x${`)`}(`) => a", ["a=", "b=", "c="]],
    ["(a = /[)]/, b = 4 / 2 / 1, c = /\\//) => a", ["a=", "b=", "c="]],
    ["(a = (x, y) => x, b = { c: [1, ')'], d: 2 }) => a", ["a=", "b="]],
    ["(a /* one, ) */, // two, (\n b) => a", ["a", "b"]],
    ["/* before ( */ (a /* ( */) /* behind */ => a", ["a"]],
    ["(a, b,) => a", ["a", "b"]],
    ["($a, _b, é) => 1", ["$a", "_b", "é"]],
    ["({ a, b: renamed, c = 3, 'd-e': f, ...g }) => a", ["{ a, b, c, d-e, ... }"]],
    ["({ a } = {}, [b, c], d) => a", ["{ a }=", "[b, c]", "d"]],
    ["(a = function (x, y) { return x; }) => a", ["a="]],
    ["(a = 1 > 0, b = a >= 1, c = a == b) => a", ["a=", "b=", "c="]],
    ["(typeofx = typeof /,/, b) => 1", ["typeofx=", "b"]],
  ])("%s", (source, names) => {
    expect(shown(made(source))).toEqual(names);
  });

  test("methods, also with computed and quoted names", () => {
    const object = made(
      "() => ({ m(a, b) {}, async n(c) {}, ['x(' + 1](d) {}, '(q'(e) {}, async *g(f) {} })",
    )() as Record<string, AnyFn>;
    expect(Object.values(object).map(shown)).toEqual([["a", "b"], ["c"], ["d"], ["e"], ["f"]]);
  });

  test("nothing, for native and bound functions, classes and escaped names", () => {
    expect(readParameters(Math.max as AnyFn)).toBeNull();
    expect(readParameters(made("function (a) { return this + a; }.bind(1)"))).toBeNull();
    expect(readParameters(made("class { constructor(a) {} }"))).toBeNull();
    expect(readParameters(made("(\\u0061b) => 1"))).toBeNull();
  });

  test("any list of parameters, whatever their defaults", () => {
    const defaults = fc.constantFrom(
      null,
      "1",
      "','",
      "')'",
      "`${`,`})`",
      "/[,)]/g",
      "(x, y) => ({ x, y })",
      "[1, (2), { a: ')' }]",
      "{ a: 1, b: [2] }",
      "function f(p, q) { return p / q; }",
      "a0 / 2 / (1)",
      "async () => { /* , ) */ }",
    );
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,4}$/), { maxLength: 5 });
    const blank = fc.constantFrom("", " ", "\n", "/* ,( */", "// )\n");
    fc.assert(
      fc.property(
        names,
        fc.array(defaults, { minLength: 5, maxLength: 5 }),
        blank,
        (plain, values, space) => {
          const listed = plain.map((name) => `p_${name}`);
          const written = listed.map(
            (name, i) => `${space}${name}${values[i] === null ? "" : `${space}=${space}${values[i]}`}`,
          );
          const text = written.join(`${space},`);
          for (const source of [
            `(${text}${space}) => 1`,
            `async function f${space}(${text}${space}) { return (z) => z; }`,
          ]) {
            expect(shown(made(source))).toEqual(
              listed.map((name, i) => `${name}${values[i] === null ? "" : "="}`),
            );
          }
        },
      ),
      { seed },
    );
  });
});

describe("arguments bind", () => {
  const add = definition((x: number, y: number) => x + y);

  test("by position without a look at the names", () => {
    const given = [1, 2];
    expect(bindArguments(add, given, {})).toBe(given);
  });

  test("by name, and by both", () => {
    expect(bindArguments(add, [], { y: 2, x: 1 })).toEqual([1, 2]);
    expect(bindArguments(add, [1], { y: 2 })).toEqual([1, 2]);
  });

  test("to the task's own parameters when the context comes first", () => {
    const bound = definition((task: object, x: number, y = 2) => [task, x, y], { bound: true });
    expect(bindArguments(bound, [], { x: 1 })).toEqual([1]);
    expect(parametersOf(bound)?.text).toBe("x, y=");
  });

  test("leaving holes for defaults", () => {
    const fn = definition(made("(x = 1, y = 2, z = 3) => [x, y, z]"));
    const args = bindArguments(fn, [], { z: 9 }) as never[];
    expect(fn.fn(...args)).toEqual([1, 2, 9]);
  });

  test("null as null, not as the default", () => {
    const fn = definition(made("(x = 1) => x"));
    expect(fn.fn(...(bindArguments(fn, [null], {}) as never[]))).toBeNull();
  });

  test("to a rest parameter, spread", () => {
    const fn = definition(made("(x, ...rest) => [x, rest]"));
    expect(fn.fn(...(bindArguments(fn, [1, 2, 3], {}) as never[]))).toEqual([1, [2, 3]]);
    expect(fn.fn(...(bindArguments(fn, [], { x: 1 }) as never[]))).toEqual([1, []]);
  });

  test("to Python's forms of the option params", () => {
    const params = ["x", "y=", "*args", "key=", "**kwargs"];
    const fn = definition(made("(x, y = 5, args, keywords) => [x, y, args, keywords]"), { params });
    const call = (args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): unknown =>
      fn.fn(...(bindArguments(fn, args, kwargs) as never[]));
    expect(call([1], {})).toEqual([1, 5, [], {}]);
    expect(call([1, 2, 3, 4], { key: "k", more: true })).toEqual([1, 2, [3, 4], { key: "k", more: true }]);
    expect(call([], { x: 1, other: 2 })).toEqual([1, 5, [], { other: 2 }]);
  });

  test("keyword-only parameters behind a star", () => {
    const fn = definition(made("(x, { key }) => [x, key]"), { params: ["x", "*", "key"] });
    expect(bindArguments(fn, [1], { key: 2 })).toEqual([1, { key: 2 }]);
    expect(() => bindArguments(fn, [1], {})).toThrow(
      "shop.f() missing 1 required keyword-only argument: 'key'",
    );
    expect(() => bindArguments(fn, [1], { key: 1, z: 2 })).toThrow("unexpected keyword argument 'z'");
  });

  test("keyword arguments to the object that a function takes apart", () => {
    const fn = definition(made("(url, { width, height = 3 }) => [url, width, height]"));
    expect(bindArguments(fn, ["u"], { width: 1 })).toEqual(["u", { width: 1 }]);
    expect(bindArguments(fn, ["u"], { height: 1 })).toEqual(["u", { height: 1 }]);
    expect(() => bindArguments(fn, ["u"], { width: 1, depth: 2 })).toThrow(
      "unexpected keyword argument 'depth'",
    );
    const open = definition(made("({ a, ...others }) => [a, others]"));
    expect(bindArguments(open, [], { a: 1, b: 2 })).toEqual([{ a: 1, b: 2 }]);
  });

  test("a key __proto__ to nothing that could hurt", () => {
    const fn = definition(made("(args, keywords) => keywords"), { params: ["*args", "**kwargs"] });
    const kwargs = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}') as Record<string, unknown>;
    const [, keywords] = bindArguments(fn, [], kwargs) as [unknown, Record<string, unknown>];
    expect(Object.keys(keywords)).toEqual(["__proto__", "a"]);
    expect(Object.getPrototypeOf(keywords)).toBe(Object.prototype);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("what does not bind is a TypeError in Python's words", () => {
  const named = definition((x: number, y: number) => x + y, { params: ["x", "y"] });
  const cases: [string, readonly unknown[], Record<string, unknown>, string][] = [
    [
      "one missing",
      [1],
      {},
      "shop.f() missing 1 required positional argument: 'y' (its parameters: x, y; came: 1 by position, no keywords)",
    ],
    ["two missing", [], {}, "shop.f() missing 2 required positional arguments: 'x' and 'y'"],
    ["too many", [1, 2, 3], {}, "shop.f() takes 2 positional arguments but 3 were given"],
    ["twice", [1], { x: 1, y: 2 }, "shop.f() got multiple values for argument 'x'"],
    [
      "unknown",
      [1, 2],
      { z: 3 },
      "shop.f() got an unexpected keyword argument 'z' (its parameters: x, y; came: 2 by position, keywords z)",
    ],
  ];
  test.each(cases)("%s", (_name, args, kwargs, message) => {
    expect(() => bindArguments(named, args, kwargs)).toThrow(TypeError);
    expect(() => bindArguments(named, args, kwargs)).toThrow(message);
  });

  test("with defaults the range is named", () => {
    const fn = definition(made("(x, y = 2) => x"), { params: ["x", "y="] });
    expect(() => bindArguments(fn, [1, 2, 3], {})).toThrow(
      "takes from 1 to 2 positional arguments but 3 were given",
    );
  });

  test("what a source names is never required: TypeScript's question marks leave no trace in it", () => {
    const fn = definition(made("(x, y) => [x, y]"));
    expect(bindArguments(fn, [1], {})).toEqual([1]);
    expect(bindArguments(fn, [], { y: 2 })).toEqual([undefined, 2]);
    expect(() => bindArguments(fn, [1, 2, 3], {})).toThrow("takes 2 positional arguments but 3 were given");
    expect(() => bindArguments(fn, [1], { z: 3 })).toThrow("unexpected keyword argument 'z'");
    expect(() => bindArguments(fn, [1], { x: 3 })).toThrow("multiple values for argument 'x'");
  });

  test("keywords for a function whose parameters cannot be read", () => {
    const fn = definition(made("function (a) { return this + a; }.bind(1)"));
    expect(bindArguments(fn, [1, 2], {})).toEqual([1, 2]);
    expect(() => bindArguments(fn, [], { a: 1 })).toThrow("give them in the task's option params");
  });
});
