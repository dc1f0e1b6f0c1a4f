import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { annotations, queues, retryPolicy, tls } from "../../../src/app/settings/structures.ts";
import {
  boolean,
  integer,
  isRecord,
  nameOrNumber,
  oneOf,
  rate,
  record,
  seconds,
  strings,
  timezone,
  urls,
  type ValueType,
} from "../../../src/app/settings/values.ts";
import { seed } from "../../support/seed.ts";

/** What text of the environment becomes. */
const textOf = (type: ValueType<unknown>, value: string): unknown => type.read(type.fromText(value));

describe("kinds of values", () => {
  test("numbers keep to their range, and Infinity must be allowed", () => {
    expect(integer({ min: 1 }).read(1)).toBe(1);
    const bad = [0, -1, 1.5, Number.NaN, Infinity, "1", 1n, null, true, 2 ** 53];
    expect(bad.filter((value) => integer({ min: 1 }).read(value) !== undefined)).toEqual([]);
    expect(integer({ infinity: true }).read(Infinity)).toBe(Infinity);
    expect(seconds({ min: 0, max: 1 }).read(0.5)).toBe(0.5);
    expect(seconds({ min: 0, max: 1 }).read(1.1)).toBeUndefined();
    expect(seconds().read(-1)).toBeUndefined();
  });

  test("durations may be objects that know their seconds, as Temporal's do", () => {
    expect(seconds().read({ total: (unit: string) => (unit === "seconds" ? 90 : 0) })).toBe(90);
    expect(seconds().read({ total: 90 })).toBeUndefined();
    expect(seconds().read({})).toBeUndefined();
    expect(seconds().read(new Date())).toBeUndefined();
  });

  test.each([
    ["90", 90],
    ["1.5", 1.5],
    ["90s", 90],
    ["500ms", 0.5],
    ["5m", 300],
    ["1h30m", 5400],
    ["1d 12h", 129_600],
    ["1e3", 1000],
    ["-1", undefined],
    ["5 minutes", undefined],
    ["0x10", undefined],
    ["", undefined],
    ["inf", undefined],
  ])("the duration %j is %j seconds", (text, expected) => {
    expect(textOf(seconds(), text)).toBe(expected);
  });

  test.each([
    ["true", true],
    ["Yes", true],
    ["on", true],
    ["1", true],
    ["false", false],
    ["No", false],
    ["OFF", false],
    ["0", false],
    ["maybe", undefined],
    ["", undefined],
  ])("the flag %j is %j", (text, expected) => {
    expect(textOf(boolean, text)).toBe(expected);
  });

  test("in code a flag is a boolean, not text or a number", () => {
    for (const bad of ["true", 1, 0, null, undefined]) expect(boolean.read(bad)).toBeUndefined();
  });

  test("infinity can be written in words", () => {
    expect(textOf(integer({ min: 0, infinity: true }), "inf")).toBe(Infinity);
    expect(textOf(integer({ min: 0, infinity: true }), "Infinity")).toBe(Infinity);
    expect(textOf(integer({ min: 0, infinity: true }), "-inf")).toBeUndefined();
  });

  test("numbers survive being written as text", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(textOf(seconds({}), String(value))).toBe(value + 0);
      }),
      { seed },
    );
  });

  test("lists come from arrays, sets, one string, and from text with commas or in JSON", () => {
    expect(strings.read(["a", "b"])).toEqual(["a", "b"]);
    expect(strings.read(new Set(["a"]))).toEqual(["a"]);
    expect(strings.read("a")).toEqual(["a"]);
    expect(strings.read(["a", 1])).toBeUndefined();
    expect(strings.read([""])).toBeUndefined();
    expect(textOf(strings, "a, b,,")).toEqual(["a", "b"]);
    expect(textOf(strings, '["a,b"]')).toEqual(["a,b"]);
    expect(Object.isFrozen(strings.read(["a"]))).toBe(true);
  });

  test("a list is a copy: changing the given array changes nothing", () => {
    const given = ["json"];
    const read = strings.read(given);
    given.push("pickle");
    expect(read).toEqual(["json"]);
  });

  test("records are data: no class instances, arrays or null", () => {
    expect(isRecord({})).toBe(true);
    expect(isRecord(Object.create(null))).toBe(true);
    for (const bad of [[], null, new Date(), new Map(), () => 0, "x"]) expect(isRecord(bad)).toBe(false);
    expect(textOf(record, '{"a": 1}')).toEqual({ a: 1 });
    expect(textOf(record, "a=1")).toBeUndefined();
  });

  test("rates are numbers per second or Celery's text", () => {
    for (const good of [10, 0.5, "10", "10/s", "100/m", "1000/h", "1.5/m"])
      expect(rate.read(good)).toBe(good);
    for (const bad of [-1, Number.NaN, "10/d", "fast", "", "10/", "/m"])
      expect(rate.read(bad)).toBeUndefined();
  });

  test("time zones must exist", () => {
    expect(timezone.read("Europe/Berlin")).toBe("Europe/Berlin");
    expect(timezone.read("Europe/Atlantis")).toBeUndefined();
    expect(timezone.read(1)).toBeUndefined();
  });

  test("URLs are one or several", () => {
    expect(urls.read("redis://a")).toBe("redis://a");
    expect(urls.read(["redis://a", "redis://b"])).toEqual(["redis://a", "redis://b"]);
    expect(urls.read("")).toBeUndefined();
    expect(urls.read([1])).toBeUndefined();
  });

  test("a choice is exactly one of its words", () => {
    expect(oneOf(["a", "b"]).read("a")).toBe("a");
    expect(oneOf(["a", "b"]).read("A")).toBeUndefined();
    expect(nameOrNumber.read(1000)).toBe(1000);
    expect(nameOrNumber.read("www-data")).toBe("www-data");
    expect(nameOrNumber.read(1.5)).toBeUndefined();
  });
});

describe("TLS settings", () => {
  test("Python's names become Node's, files are read, and verification is on unless it is switched off", () => {
    const dir = mkdtempSync(join(tmpdir(), "petiole-tls-"));
    try {
      const file = join(dir, "ca.pem");
      writeFileSync(file, "CA");
      expect(tls.read({ ssl_ca_certs: file, ssl_cert_reqs: "required" })).toEqual({
        ca: "CA",
        rejectUnauthorized: true,
      });
      expect(tls.read({ ca_certs: file, certfile: file, keyfile: null, cert_reqs: "none" })).toEqual({
        ca: "CA",
        cert: "CA",
        rejectUnauthorized: false,
      });
      expect(() => tls.read({ ssl_keyfile: join(dir, "missing.pem") })).toThrow(
        /sslKeyfile cannot be read \(ENOENT\)/,
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test("Node's options pass through", () => {
    expect(tls.read(true)).toBe(true);
    expect(tls.read({ ca: "x", servername: "y", minVersion: "TLSv1.3" })).toEqual({
      ca: "x",
      servername: "y",
      minVersion: "TLSv1.3",
    });
    expect(tls.read("yes")).toBeUndefined();
    expect(textOf(tls, "true")).toBe(true);
    expect(textOf(tls, "0")).toBe(false);
    expect(textOf(tls, '{"servername": "x"}')).toEqual({ servername: "x" });
  });

  test.each([["CERT_NONE"], ["none"], [0], [null]])("cert_reqs %j switches verification off", (value) => {
    expect(tls.read({ ssl_cert_reqs: value })).toEqual({ rejectUnauthorized: false });
  });

  test.each([["CERT_REQUIRED"], ["optional"], [2], ["whatever"]])("cert_reqs %j leaves it on", (value) => {
    expect(tls.read({ ssl_cert_reqs: value })).toEqual({ rejectUnauthorized: true });
  });
});

describe("retry policies", () => {
  test("what is left out is Celery's default, and names may be Python's", () => {
    expect(retryPolicy.read({ max_retries: null, interval_step: 1 })).toEqual({
      maxRetries: null,
      intervalStart: 0,
      intervalMax: 1,
      intervalStep: 1,
    });
  });

  test("unknown names and wrong values are refused by name", () => {
    expect(() => retryPolicy.read({ maxRetrys: 1 })).toThrow(
      /maxRetrys is not known, did you mean "maxRetries"/,
    );
    expect(() => retryPolicy.read({ interval_max: -1 })).toThrow(/intervalMax must be a number from 0/);
    expect(() => retryPolicy.read({ toString: 1 })).toThrow(/toString is not known/);
  });
});

describe("queues as settings", () => {
  test("an array of names and objects keeps its order", () => {
    expect(
      queues.read(["a", { name: "b", exchange_type: "topic", exchange: "x", routing_key: "b.#" }]),
    ).toEqual([{ name: "a" }, { name: "b", exchangeType: "topic", exchange: "x", routingKey: "b.#" }]);
  });

  test("Celery's dict form routes by the queue's name where it says nothing", () => {
    expect(queues.read({ a: {}, b: { binding_key: "b.#", exchange: { name: "x", type: "topic" } } })).toEqual(
      [
        { name: "a", routingKey: "a" },
        { name: "b", routingKey: "b.#", exchange: "x", exchangeType: "topic" },
      ],
    );
  });

  test("what concerns RabbitMQ is dropped, what is unknown is refused", () => {
    expect(queues.read([{ name: "a", durable: true, queue_arguments: { "x-max-priority": 9 } }])).toEqual([
      { name: "a" },
    ]);
    expect(() => queues.read([{ name: "a", routingkey: "x" }])).toThrow(
      /queue "a" has no routingkey, did you mean "routingKey"/,
    );
    expect(() => queues.read([{ exchange: "x" }])).toThrow(/has no name/);
    expect(() => queues.read([{ name: "a", exchangeType: "headers" }])).toThrow(
      /one of direct, topic, fanout/,
    );
    expect(() => queues.read([{ name: "a", exchange: 1 }])).toThrow(/exchange of queue "a" is not a string/);
    expect(() => queues.read([1])).toThrow(/neither a queue nor a name/);
    expect(queues.read("a")).toBeUndefined();
  });

  test("text is a list of names or JSON", () => {
    expect(textOf(queues, "a, b")).toEqual([{ name: "a" }, { name: "b" }]);
    expect(textOf(queues, '{"a": {}}')).toEqual([{ name: "a", routingKey: "a" }]);
  });
});

describe("annotations", () => {
  test("options of several objects are merged, with Python's names made ours", () => {
    expect(
      annotations.read([
        { "*": { rate_limit: "10/s" } },
        { "*": { acksLate: true }, "a.b": { time_limit: 3 } },
      ]),
    ).toEqual({
      "*": { rateLimit: "10/s", acksLate: true },
      "a.b": { timeLimit: 3 },
    });
  });

  test("a task called __proto__ is a task", () => {
    const read = annotations.read(JSON.parse('{"__proto__": {"rate_limit": 1}}'));
    expect(Object.keys(read ?? {})).toEqual(["__proto__"]);
    expect(({} as { rateLimit?: unknown }).rateLimit).toBeUndefined();
  });

  test("anything but objects of options is refused", () => {
    expect(annotations.read([1])).toBeUndefined();
    expect(() => annotations.read({ a: 1 })).toThrow(/"a" has no options/);
  });
});
