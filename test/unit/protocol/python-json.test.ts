import fc from "fast-check";
import { expect, test } from "vitest";
import { stringifyJson } from "../../../src/protocol/json.ts";
import { pythonJson } from "../../../src/protocol/python-json.ts";

test("the text is that of json.dumps", () => {
  const texts: readonly (readonly [unknown, string])[] = [
    [{ a: [1, "é"], b: null }, '{"a": [1, "\\u00e9"], "b": null}'],
    ['say "a, b: c" \\', '"say \\"a, b: c\\" \\\\"'],
    ["🍃\u007f\u2028\n", '"\\ud83c\\udf43\\u007f\\u2028\\n"'],
    [[], "[]"],
    [[[], {}, "x,"], '[[], {}, "x,"]'],
    [5, "5"],
  ];
  for (const [value, text] of texts) expect(pythonJson(stringifyJson(value))).toBe(text);
});

test("it is ASCII, and the same value", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
      const text = pythonJson(JSON.stringify(value));
      expect(text).toMatch(/^[ -~]*$/u);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});
