import { describe, expect, test } from "vitest";
import {
  bindingMember,
  matchingQueues,
  parseBindings,
  topicText,
} from "../../../../src/transports/redis/bindings.ts";

const SEP = "\x06\x16";

describe("bindings", () => {
  test("are written as kombu writes them", () => {
    const celery = { name: "celery", exchange: "celery", type: "direct", routingKey: "celery" } as const;
    expect(bindingMember(celery, SEP)).toBe("celery\x06\x16\x06\x16celery");
    expect(bindingMember({ ...celery, type: "topic", routingKey: "task.#" }, SEP)).toBe(
      "task.#\x06\x16^task\\..*?$\x06\x16celery",
    );
    expect(bindingMember({ ...celery, type: "fanout", routingKey: "" }, "|")).toBe("||celery");
  });

  // As TopicExchange.key_to_pattern of kombu 5.6.2 answers.
  test.each([
    ["task.#", "^task\\..*?$"],
    ["task.*", "^task\\..*?[^\\.]$"],
    ["a-b_c.x y", "^a\\-b\\_c\\.x\\ y$"],
    ["a+b.(x)?[y]", "^a\\+b\\.\\(x\\)\\?\\[y\\]$"],
    ["#", "^.*?$"],
    ["ü:x", "^ü\\:x$"],
  ])("topic %s", (key, pattern) => {
    expect(topicText(key)).toBe(pattern);
  });

  test("are read, and what is none of kombu's is left out", () => {
    const bindings = parseBindings(
      ["k||q1", "k||q2", "a.#|^a\\..*?$|q3", "nonsense", "x||", "a|b|c|d", "||q4", "k||q1"],
      "|",
    );
    expect(bindings.map((one) => one.queue).sort()).toEqual(["q1", "q1", "q2", "q3", "q4"]);
    expect(matchingQueues(bindings, "k")).toEqual(["q1", "q2"]);
    expect(matchingQueues(bindings, "a.b.c")).toEqual(["q3"]);
    expect(matchingQueues(bindings, "")).toEqual(["q4"]);
    expect(matchingQueues(bindings, "none")).toEqual([]);
  });

  test("a stranger's pattern is never run as a regular expression", () => {
    const bindings = parseBindings([`a.#|${"(a+)+".repeat(50)}$|q`], "|");
    expect(matchingQueues(bindings, `a.${"a".repeat(50)}!`)).toEqual(["q"]);
  });
});
