import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Config } from "../../../src/app/config.ts";
import { Router } from "../../../src/app/routes.ts";
import { globMatcher } from "../../../src/app/routes-glob.ts";
import type { Routes } from "../../../src/app/settings-types.ts";
import { cpuMs } from "../../support/best-of.ts";
import { seed } from "../../support/seed.ts";

const call = { args: [1], kwargs: { k: 2 }, options: { countdown: 3 } };

/** As an app does it: checked by the settings, then compiled. */
function routeOf(routes: unknown, name: string): unknown {
  const { taskRoutes } = new Config({ taskRoutes: routes as Routes }, { env: {} }).resolve();
  return new Router(taskRoutes).route(name, call);
}

describe("routes", () => {
  test("without any nothing is routed", () => {
    expect(new Router(null).route("a", call)).toBeNull();
    expect(routeOf({}, "a")).toBeNull();
    expect(routeOf([], "a")).toBeNull();
  });

  test("a string is a queue's name", () => {
    expect(routeOf({ a: "low" }, "a")).toEqual({ queue: "low" });
    expect(routeOf([["a", "low"]], "a")).toEqual({ queue: "low" });
    expect(routeOf(() => "low", "a")).toEqual({ queue: "low" });
  });

  test("in an object the exact name is asked before the globs, and globs in their order", () => {
    const routes = { "shop.*": "glob", "*": "all", "shop.add": "exact" };
    expect(routeOf(routes, "shop.add")).toEqual({ queue: "exact" });
    expect(routeOf(routes, "shop.mul")).toEqual({ queue: "glob" });
    expect(routeOf(routes, "nlp.mul")).toEqual({ queue: "all" });
  });

  test("in an array the first element that answers wins", () => {
    const routes = [
      ["shop.*", "glob"],
      ["shop.add", "exact"],
      { "nlp.add": "dict" },
      [["x.*", "nested"]],
      ["*", "all"],
    ];
    expect(routeOf(routes, "shop.add")).toEqual({ queue: "glob" });
    expect(routeOf(routes, "nlp.add")).toEqual({ queue: "dict" });
    expect(routeOf(routes, "x.y")).toEqual({ queue: "nested" });
    expect(routeOf(routes, "y")).toEqual({ queue: "all" });
  });

  test("a name with ? or [ but without * is an exact name, as in Celery", () => {
    expect(routeOf({ "a?": "q" }, "ab")).toBeNull();
    expect(routeOf({ "a?": "q" }, "a?")).toEqual({ queue: "q" });
  });

  test("a regular expression is searched for, and flags that remember a position do no harm", () => {
    const routes = [[/\.slow$/gy, "slow"]];
    expect(routeOf([[/\.slow$/, "slow"]], "a.slow")).toEqual({ queue: "slow" });
    const router = new Router(
      new Config({ taskRoutes: [[/slow/g, "slow"]] }, { env: {} }).resolve().taskRoutes,
    );
    for (const name of ["slow.1", "slow.2", "slow.3"])
      expect(router.route(name, call)).toEqual({ queue: "slow" });
    expect(routeOf(routes, "x")).toBeNull();
  });

  test("a route's names may be Python's, and what it leaves open is left out", () => {
    expect(
      routeOf(
        {
          a: {
            routing_key: "k",
            exchange_type: "topic",
            retry_policy: { max_retries: 1 },
            delivery_mode: 1,
            queue: null,
          },
        },
        "a",
      ),
    ).toEqual({ routingKey: "k", exchangeType: "topic", retryPolicy: { maxRetries: 1 }, deliveryMode: 1 });
  });

  test("functions are told of the call and asked each time; null passes on, an empty route ends the search", () => {
    const seen: unknown[] = [];
    const router = new Router([
      (...told) => {
        seen.push(told);
        return told[0] === "mine" ? { queue: "q", priority: told[1].length } : null;
      },
      (name) => (name === "none" ? {} : undefined),
      ["*", "rest"],
    ]);
    expect(router.dynamic).toBe(true);
    expect(router.route("mine", call)).toEqual({ queue: "q", priority: 1 });
    expect(router.route("mine", { ...call, args: [1, 2] })).toEqual({ queue: "q", priority: 2 });
    expect(router.route("none", call)).toEqual({});
    expect(router.route("other", call)).toEqual({ queue: "rest" });
    expect(seen[0]).toEqual(["mine", [1], { k: 2 }, { countdown: 3 }]);
  });

  test("answers are remembered when no function decides", () => {
    const router = new Router({ "shop.*": { queue: "q" } });
    expect(router.dynamic).toBe(false);
    expect(router.route("shop.a", call)).toBe(router.route("shop.a", call));
    expect(router.route("other", call)).toBeNull();
    expect(router.route("other", call)).toBeNull();
  });

  test("names that are built do not fill the memory", () => {
    const router = new Router({ "a.*": "q" });
    for (let index = 0; index < 25_000; index += 1) router.route(`a.${index}`, call);
    expect(router.route("a.1", call)).toEqual({ queue: "q" });
  });

  test("a task called __proto__ is routed by what was written only", () => {
    expect(routeOf({ "shop.*": "q" }, "__proto__")).toBeNull();
    expect(routeOf({ "shop.*": "q" }, "constructor")).toBeNull();
    expect(routeOf(JSON.parse('{"__proto__": "q"}'), "__proto__")).toEqual({ queue: "q" });
  });

  test.each([
    ["low", /taskRoutes cannot be "low"/],
    [["proj.routers.route"], /names a router: import the function/],
    [{ a: { que: "x" } }, /the route of "a" cannot have que, did you mean "queue"\?/],
    [{ a: { countdown: 1 } }, /cannot have countdown/],
    [{ a: { queue: 1 } }, /queue in the route of "a" is not a string/],
    [{ a: { priority: "high" } }, /priority in the route of "a" is not a whole number/],
    [
      { a: { exchangeType: "headers" } },
      /exchangeType in the route of "a" is not "direct", "topic", "fanout"/,
    ],
    [{ a: 1 }, /neither a queue's name nor an object/],
    [{ a: "" }, /neither a queue's name nor an object/],
    [[["a"]], /neither a \[pattern, route\] pair/],
    [[1], /neither a \[pattern, route\] pair/],
  ])("%j is refused", (routes, message) => {
    expect(() => routeOf(routes, "a")).toThrow(message);
  });

  test("a bad answer of a function names the task", () => {
    expect(() => routeOf(() => 1, "shop.add")).toThrow(/gave a bad route for task "shop.add"/);
    expect(() => routeOf(async () => "q", "shop.add")).toThrow(/must answer at once/);
  });

  test("an error of a function is its own", () => {
    const boom = new RangeError("boom");
    expect(() =>
      routeOf(() => {
        throw boom;
      }, "a"),
    ).toThrow(boom);
  });
});

describe("globs", () => {
  /** Python's `fnmatch.translate` by hand: slow where the matcher is not, so for short patterns only. */
  function translated(pattern: string): RegExp {
    let source = "";
    for (let index = 0; index < pattern.length; index += 1) {
      const char = pattern[index] ?? "";
      if (char === "*") source += "[^]*";
      else if (char === "?") source += "[^]";
      else if (char === "[") {
        const start = index + (pattern[index + 1] === "!" ? 2 : 1);
        const end = pattern.indexOf("]", start + 1);
        if (end < 0) source += "\\[";
        else {
          const members = pattern.slice(start, end).replace(/[\\\]^]/g, "\\$&");
          source += `[${pattern[index + 1] === "!" ? "^" : ""}${members}]`;
          index = end;
        }
      } else source += char.replace(/[.+^${}()|[\]\\/]/g, "\\$&");
    }
    return new RegExp(`^${source}$`);
  }

  test("match as Python's fnmatch", () => {
    const pattern = fc.array(fc.constantFrom("a", "b", ".", "*", "?", "[ab]", "[!a]", "[a-c]", "["), {
      maxLength: 8,
    });
    const name = fc.array(fc.constantFrom("a", "b", "c", "d", ".", "["), { maxLength: 10 });
    fc.assert(
      fc.property(pattern, name, (parts, chars) => {
        const glob = parts.join("");
        expect(globMatcher(glob)(chars.join(""))).toBe(translated(glob).test(chars.join("")));
      }),
      { seed, numRuns: 3000 },
    );
  });

  test.each([
    ["shop.*", "shop.add", true],
    ["shop.*", "shop.", true],
    ["shop.*", "shop", false],
    ["shop.*", "my.shop.add", false],
    ["*.add", "shop.add", true],
    ["*", "", true],
    ["**a**", "bab", true],
    ["shop.*", "Shop.add", false],
    ["[]a]*", "]x", true],
    ["[!]a]*", "]x", false],
    ["a.?*", "a.", false],
    ["*é", "caffé", true],
    ["?", "😀", true],
    ["a*\n", "ab\n", true],
  ])("%j on %j is %j", (pattern, name, expected) => {
    expect(globMatcher(pattern)(name)).toBe(expected);
  });

  test("a pattern made to be slow is not", () => {
    const matches = globMatcher(`${"a*".repeat(40)}b`);
    const costMs = cpuMs(() => {
      expect(matches("a".repeat(2000))).toBe(false);
    });
    // Quadratic in the worst case; a backtracking expression would need years.
    expect(costMs).toBeLessThan(1000);
  });
});
