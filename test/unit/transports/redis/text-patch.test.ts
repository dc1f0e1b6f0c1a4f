import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  markRedelivered,
  NotAnObject,
  restartDeliveryCount,
} from "../../../../src/transports/redis/text-patch.ts";
import { parseUnackedValue, unackedValue } from "../../../../src/transports/redis/unacked-value.ts";
import { seed } from "../../../support/seed.ts";

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
interface Style {
  readonly space: string;
  readonly escapeKeys: boolean;
}

/** As some JSON writer would write it: with spaces, with escaped member names. */
function write(value: unknown, style: Style): string {
  const { space } = style;
  if (Array.isArray(value))
    return `[${space}${value.map((one) => write(one, style)).join(`${space},${space}`)}]`;
  if (typeof value === "object" && value !== null) {
    const members = Object.entries(value).map(([key, one]) => {
      const name = style.escapeKeys
        ? `"${key
            .split("")
            .map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)
            .join("")}"`
        : JSON.stringify(key);
      return `${name}${space}:${space}${write(one, style)}`;
    });
    return `{${space}${members.join(`,${space}`)}${space}}`;
  }
  return JSON.stringify(value);
}

const json = fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json>;
const nasty = fc.constantFrom(
  '"',
  "\\",
  '\\"',
  "}",
  "{",
  '","redelivered":false',
  '"headers":{}',
  "ü🍃",
  "\u2028",
  "\\u0022",
  "[1,2",
);
const text = fc.oneof(fc.string(), nasty);
const extra = fc.dictionary(fc.stringMatching(/^[a-z"\\{}]{1,6}$/), fc.oneof(json, text), { maxKeys: 3 });
const flag = fc.option(fc.oneof(fc.boolean(), fc.integer(), text, fc.constant(null)), { nil: undefined });
const withMember = (name: string): fc.Arbitrary<Record<string, unknown>> =>
  fc
    .tuple(extra, flag, fc.boolean())
    .map(([rest, value, first]) =>
      value === undefined ? rest : first ? { [name]: value, ...rest } : { ...rest, [name]: value },
    );
const envelope = fc
  .record({
    body: text,
    rest: extra,
    headers: fc.oneof(
      { weight: 5, arbitrary: fc.tuple(withMember("redelivered"), withMember("x-delivery-count")) },
      { weight: 1, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.constant(undefined) },
    ),
    info: fc.option(withMember("redelivered"), { nil: undefined }),
    properties: fc.option(extra, { nil: undefined }),
    order: fc.boolean(),
  })
  .map(({ body, rest, headers, info, properties, order }) => {
    const made: Record<string, unknown> = { ...rest, body };
    const setHeaders = (): void => {
      if (headers !== undefined) made["headers"] = headers === null ? null : { ...headers[0], ...headers[1] };
    };
    if (order) setHeaders();
    if (properties !== undefined) {
      made["properties"] = info === undefined ? properties : { ...properties, delivery_info: info };
    }
    if (!order) setHeaders();
    return made;
  });
const style = fc.record({ space: fc.constantFrom("", " ", "\n\t "), escapeKeys: fc.boolean() });

/** The same by parsing. */
function expected(source: string, count: number | null): unknown {
  const value = JSON.parse(source) as Record<string, Record<string, unknown> | null>;
  const marks = { redelivered: true, ...(count === null ? {} : { "x-delivery-count": count }) };
  value["headers"] = { ...value["headers"], ...marks };
  const properties = value["properties"];
  if (properties) {
    properties["delivery_info"] = { ...(properties["delivery_info"] as object | null), redelivered: true };
  }
  return value;
}

describe("patching an envelope", () => {
  test("says what parsing, setting and writing would say", () => {
    fc.assert(
      fc.property(envelope, style, fc.option(fc.nat(9), { nil: null }), (value, how, count) => {
        const source = write(value, how);
        const patched = markRedelivered(source, count);
        expect(JSON.parse(patched)).toEqual(expected(source, count));
      }),
      { seed, numRuns: 1000 },
    );
  });

  test("leaves every other byte as it is: taking the marks out again gives the text that was there", () => {
    const source =
      '{"body": "W1td", "headers": {"id": "\\u00fc", "n": 1.50, "big": 12345678901234567890, "x": NaN, "y": -Infinity, "retries": 1e2}, "properties": {"delivery_info": {"exchange": "", "routing_key": "q"}, "priority": 0}}';
    const patched = markRedelivered(source, 2);
    expect(patched.replaceAll(',"redelivered":true', "").replace(',"x-delivery-count":2', "")).toBe(source);
    expect(patched.length).toBe(
      source.length + 2 * ',"redelivered":true'.length + ',"x-delivery-count":2'.length,
    );
  });

  test("patching twice is patching once, and a count is replaced", () => {
    fc.assert(
      fc.property(envelope, style, (value, how) => {
        const once = markRedelivered(write(value, how), 1);
        expect(markRedelivered(once, 1)).toBe(once);
        expect(markRedelivered(once, null)).toBe(once);
      }),
      { seed },
    );
  });

  test("of two equal names the last one counts, as for parsers", () => {
    const source = '{"headers":{"redelivered":false},"headers":{"a":1,"redelivered":0,"redelivered":0}}';
    const patched = markRedelivered(source, null);
    expect(JSON.parse(patched)).toEqual({ headers: { a: 1, redelivered: true } });
    expect(patched).toBe(
      '{"headers":{"redelivered":false},"headers":{"a":1,"redelivered":0,"redelivered":true}}',
    );
  });

  test("bytes that are not UTF-8 survive in latin1", () => {
    const bytes = Buffer.concat([
      Buffer.from('{"body":"'),
      Buffer.from([0xff, 0xfe, 0x80]),
      Buffer.from('","headers":{}}'),
    ]);
    const patched = Buffer.from(markRedelivered(bytes.toString("latin1"), null), "latin1");
    expect(patched.includes(Buffer.from([0xff, 0xfe, 0x80]))).toBe(true);
  });

  test("headers that are no object are left alone", () => {
    expect(markRedelivered('{"headers":"x"}', 1)).toBe('{"headers":"x"}');
    expect(markRedelivered('{"headers":[],"properties":{"delivery_info":5}}', 1)).toBe(
      '{"headers":[],"properties":{"delivery_info":5}}',
    );
  });

  test.each([
    "",
    "hello",
    "5",
    "[]",
    "null",
    "{",
    '{"a"',
    '{"a":',
    '{"a":1',
    '{"a":"',
    '{"a":[1}',
    "{}x",
    '{"a" 1}',
    '{"a":1 "b":2}',
    "{a:1}",
    '{"a":,}',
  ])("%j is refused", (source) => {
    expect(() => markRedelivered(source, 1)).toThrow(NotAnObject);
  });

  test("whatever the text is, it is patched or refused, in time that grows with its length", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("{", "}", "[", "]", '"', "\\", ",", ":", "1", " ") }),
        (source) => {
          let refusal: unknown = new NotAnObject("none");
          try {
            markRedelivered(source, 1);
          } catch (error) {
            refusal = error;
          }
          expect(refusal).toBeInstanceOf(NotAnObject);
        },
      ),
      { seed, numRuns: 2000 },
    );
    const deep = `{"headers":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`;
    expect(JSON.stringify(markRedelivered(deep, null)).length).toBeGreaterThan(deep.length);
    expect(() => markRedelivered("[".repeat(1_000_000), 1)).toThrow(NotAnObject);
  });
});

describe("values of unacked", () => {
  const latin1 = (value: string): string => Buffer.from(value).toString("latin1");

  test("what we write we read back, bytes untouched, whatever the queue is called", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), envelope, (queue, value) => {
        const raw = latin1(JSON.stringify(value));
        expect(parseUnackedValue(unackedValue(raw, queue))).toEqual({ raw, exchange: "", routingKey: queue });
      }),
      { seed },
    );
  });

  test("kombu's form is read: spaces, escapes, a named exchange", () => {
    const value = '[{"body": "a\\",b", "headers": {}}, "my ex\\u00fc", "key\\"\\\\"]';
    expect(parseUnackedValue(latin1(value))).toEqual({
      raw: '{"body": "a\\",b", "headers": {}}',
      exchange: "my exü",
      routingKey: 'key"\\',
    });
  });

  test.each([
    "",
    "[]",
    "{}",
    "[1]",
    '["a"]',
    '["",""]',
    '[{},"",5]',
    '[{},null,"q"]',
    "not json",
    '[{} "" "q"]',
    '"]',
    '[{},"","\\x"]',
  ])("%j is none", (value) => {
    expect(parseUnackedValue(value)).toBeNull();
  });
});

describe("beginning to count deliveries anew", () => {
  test("only a count that is there becomes 0; nothing else changes", () => {
    fc.assert(
      fc.property(envelope, style, (made, as) => {
        const before = write(made, as);
        const wanted = JSON.parse(before) as Record<string, unknown>;
        const headers = wanted["headers"] as Record<string, unknown> | null | undefined;
        if (headers && Object.hasOwn(headers, "x-delivery-count")) headers["x-delivery-count"] = 0;
        expect(JSON.parse(restartDeliveryCount(before))).toEqual(wanted);
      }),
      { seed },
    );
  });

  test("headers that are no object are left alone; what is no object is refused", () => {
    for (const source of ['{"headers":null}', '{"headers":[1]}', '{"headers":"x"}', "{}"]) {
      expect(restartDeliveryCount(source)).toBe(source);
    }
    expect(() => restartDeliveryCount("[]")).toThrow(NotAnObject);
  });
});
