import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { didYouMean, nearest } from "../../../src/base/nearest.ts";
import { seed } from "../../support/seed.ts";

describe("the nearest name", () => {
  test.each([
    ["taskSerialiser", "taskSerializer"],
    ["task_serializer", "taskSerializer"],
    ["TASKSERIALIZER", "taskSerializer"],
    ["taskSeriailzer", "taskSerializer"],
    ["brokerUrls", "brokerUrl"],
    ["que", "queue"],
    ["xyz", null],
    ["", null],
    ["x".repeat(101), null],
  ])("to %j is %j", (name, expected) => {
    expect(nearest(name, ["taskSerializer", "brokerUrl", "queue", "resultExpires"])).toBe(expected);
  });

  test("is the closest of several, the first of equals", () => {
    expect(nearest("abcdef", ["abcxyf", "abcdeg", "abcdeh"])).toBe("abcdeg");
  });

  test("counts two swapped neighbours as one change", () => {
    expect(nearest("bacdef", ["bxydef", "abcdef"])).toBe("abcdef");
  });

  test("is the name itself when it is there", () => {
    const word = fc.stringMatching(/^[a-z]{1,12}$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 1 }), fc.nat(), (words, pick) => {
        const name = words[pick % words.length] ?? "";
        expect(nearest(name, words)).toBe(name);
      }),
      { seed },
    );
  });

  test("of one wrong letter in six or more is the right name", () => {
    const word = fc.stringMatching(/^[a-z]{6,20}$/);
    fc.assert(
      fc.property(word, fc.nat(), fc.constantFrom("drop", "add", "swap", "replace"), (name, at, how) => {
        const index = at % (name.length - 1);
        const head = name.slice(0, index);
        const [a = "", b = ""] = [name[index], name[index + 1]];
        const tail = name.slice(index + 2);
        const wrong = {
          drop: head + b + tail,
          add: `${head}${a}#${b}${tail}`,
          swap: head + b + a + tail,
          replace: `${head}#${b}${tail}`,
        };
        expect(nearest(wrong[how], ["#".repeat(name.length), name])).toBe(name);
      }),
      { seed },
    );
  });

  test("ends a message", () => {
    expect(didYouMean("brokerUrls", ["brokerUrl"])).toBe(', did you mean "brokerUrl"?');
    expect(didYouMean("x", ["brokerUrl"])).toBe("");
  });
});
