import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError, EncodeError } from "../../../src/errors.ts";
import { decodeEnvelope, encodeEnvelope } from "../../../src/protocol/envelope.ts";
import { DEFAULT_LIMITS, type WireMessage } from "../../../src/protocol/wire.ts";
import { seed } from "../../support/seed.ts";

const ROUTE = { exchange: "", routingKey: "celery", priority: 3, deliveryTag: "tag-1" };
const MESSAGE: WireMessage = {
  body: "[[],{},null]",
  contentType: "application/json",
  contentEncoding: "utf-8",
  headers: { task: "t", id: "i" },
  properties: { correlation_id: "i", delivery_mode: 2 },
};
const envelope = (fields: Record<string, unknown>): string =>
  JSON.stringify({
    body: "W10=",
    "content-type": "application/json",
    "content-encoding": "utf-8",
    headers: { id: "x1", task: "t" },
    properties: { body_encoding: "base64" },
    ...fields,
  });

describe("encodeEnvelope", () => {
  test("writes Python's keys in Python's order", () => {
    expect(encodeEnvelope(MESSAGE, ROUTE)).toBe(
      `{"body":"${btoa("[[],{},null]")}","content-encoding":"utf-8","content-type":"application/json","headers":{"task":"t","id":"i"},"properties":{"correlation_id":"i","delivery_mode":2,"delivery_info":{"exchange":"","routing_key":"celery"},"priority":3,"body_encoding":"base64","delivery_tag":"tag-1"}}`,
    );
  });

  test("what the message says of itself counts before the route, but never its old delivery", () => {
    const properties = {
      priority: 12,
      delivery_tag: "old",
      delivery_info: { exchange: "old", routing_key: "old", redelivered: true },
      odd: undefined,
    };
    expect(JSON.parse(encodeEnvelope({ ...MESSAGE, properties }, ROUTE))).toMatchObject({
      properties: {
        priority: 12,
        delivery_tag: "tag-1",
        delivery_info: { exchange: "", routing_key: "celery" },
      },
    });
  });

  test("a body of text may stay text; bytes that are none are base64 whatever is asked for", () => {
    const literal = (body: string | Uint8Array, encoding: unknown): Record<string, unknown> =>
      JSON.parse(
        encodeEnvelope({ ...MESSAGE, body, properties: { body_encoding: encoding } }, ROUTE),
      ) as Record<string, unknown>;
    expect(literal("å", null)).toMatchObject({ body: "å", properties: { body_encoding: null } });
    expect(literal(Buffer.from("å"), "utf-8")).toMatchObject({
      body: "å",
      properties: { body_encoding: "utf-8" },
    });
    expect(literal(new Uint8Array([255]), null)).toMatchObject({
      body: "/w==",
      properties: { body_encoding: "base64" },
    });
    expect(literal("å", "base64")).toMatchObject({ body: "w6U=", properties: { body_encoding: "base64" } });
  });

  test("large bodies, text and bytes, are base64 too", () => {
    const text = "å".repeat(20_000);
    for (const body of [text, Buffer.from(text)]) {
      const { body: written } = JSON.parse(encodeEnvelope({ ...MESSAGE, body }, ROUTE)) as { body: string };
      expect(Buffer.from(written, "base64").toString()).toBe(text);
    }
  });

  test("headers in any order and of any type are written", () => {
    const headers = {
      id: "i",
      lang: "js",
      task: "t",
      eta: undefined,
      'a "b"': [1, { c: null }],
      n: 5,
      no: false,
      zero: 0,
      nothing: null,
    };
    const { eta, ...expected } = headers;
    expect(
      (JSON.parse(encodeEnvelope({ ...MESSAGE, headers }, ROUTE)) as { headers: unknown }).headers,
    ).toEqual(expected);
    expect(eta).toBeUndefined();
  });

  test("whatever was written before, an envelope holds what its message says now", () => {
    const same = [1];
    const frozen = Object.freeze([null, 5]);
    const value = fc.oneof(
      fc.constantFrom<unknown>(
        null,
        0,
        1,
        true,
        false,
        "",
        "a",
        "b",
        "\u00e9",
        "x".repeat(200),
        same,
        frozen,
      ),
      fc.constant(Object.freeze([same])),
      fc.dictionary(fc.constantFrom("k"), fc.integer()),
    );
    const names = ["lang", "task", "id", "shadow", "retries", "stamps", "own"];
    const message = fc.record({
      headers: fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] }),
      contentType: fc.constantFrom("application/json", "x"),
      contentEncoding: fc.constantFrom("utf-8", "binary"),
      exchange: fc.constantFrom("", "e"),
      routingKey: fc.constantFrom("q", "r"),
    });
    const property = fc.property(fc.array(message, { maxLength: 8 }), (messages) => {
      for (const { headers, contentType, contentEncoding, exchange, routingKey } of messages) {
        same[0] = (same[0] ?? 0) + 1;
        const text = encodeEnvelope(
          { ...MESSAGE, headers, contentType, contentEncoding },
          { ...ROUTE, exchange, routingKey },
        );
        expect(JSON.parse(text)).toMatchObject({
          headers,
          "content-type": contentType,
          "content-encoding": contentEncoding,
          properties: { delivery_info: { exchange, routing_key: routingKey } },
        });
      }
    });
    fc.assert(property, { seed });
  });

  test("an object that has changed since is written as it is", () => {
    const lang = [1];
    const text = (): string => encodeEnvelope({ ...MESSAGE, headers: { lang } }, ROUTE);
    expect(text()).toContain('"lang":[1]');
    lang.push(2);
    expect(text()).toContain('"lang":[1,2]');
  });

  test("minus zero is not taken for the zero that came before", () => {
    const text = (retries: number): string =>
      encodeEnvelope(
        { ...MESSAGE, headers: { lang: "a", task: "a", id: "a", shadow: "a", eta: "a", expires: retries } },
        ROUTE,
      );
    expect([text(0), text(-0), text(0)].map((one) => /"expires":([^}]*)/.exec(one)?.[1])).toEqual([
      "0",
      "-0.0",
      "0",
    ]);
  });

  test("a header or a property that cannot travel is named", () => {
    expect(() => encodeEnvelope({ ...MESSAGE, headers: { user: new Map() } }, ROUTE)).toThrow(EncodeError);
    expect(() => encodeEnvelope({ ...MESSAGE, headers: { user: new Map() } }, ROUTE)).toThrow(
      /^headers\.user is a Map/,
    );
    expect(() => encodeEnvelope({ ...MESSAGE, properties: { user: () => 1 } }, ROUTE)).toThrow(
      /^user is a function/,
    );
  });
});

describe("decodeEnvelope", () => {
  test("fills in what is missing", () => {
    expect(decodeEnvelope('{"body":"x"}')).toEqual({
      body: "x",
      contentType: "",
      contentEncoding: "",
      headers: {},
      properties: {},
    });
    expect(decodeEnvelope(envelope({ headers: null, properties: null, "content-type": 5 }))).toMatchObject({
      body: "W10=",
      contentType: "",
      headers: {},
      properties: {},
    });
  });

  test.each<[string, string, string | null]>([
    ["not JSON", "hello", null],
    ["an array", "[]", null],
    ["null", "null", null],
    ["headers that are a list", envelope({ headers: [] }), null],
    ["properties that are a text", envelope({ properties: "x" }), "x1"],
    ["no body", envelope({ body: undefined }), "x1"],
    ["a body that is an object", envelope({ body: {} }), "x1"],
    ["a body that is not base64", envelope({ body: "W1%%" }), "x1"],
    ["a large body that is not base64", envelope({ body: `${"A".repeat(50_000)}%%%%` }), "x1"],
    ["binary that is not base64", envelope({ body: "W1%%", "content-encoding": "binary" }), "x1"],
    ["an unknown body encoding", envelope({ properties: { body_encoding: "rot13" } }), "x1"],
    ["a body encoding that is no text", envelope({ properties: { body_encoding: 5 } }), "x1"],
    ["an id that is no text", envelope({ headers: { id: 5 }, body: 5 }), null],
  ])("%s is refused, with the id where it is known", (_name, raw, taskId) => {
    expect(() => decodeEnvelope(raw)).toThrow(DecodeError);
    expect(() => decodeEnvelope(raw)).toThrow(
      expect.objectContaining({ taskId, code: "PET_MESSAGE_INVALID" }),
    );
  });

  test("text comes as text; compressed, binary and broken text as bytes", () => {
    const b64 = (text: string | Uint8Array): string => Buffer.from(text).toString("base64");
    expect(decodeEnvelope(envelope({ body: b64("hå\ufffd") })).body).toBe("hå\ufffd");
    expect(decodeEnvelope(envelope({ body: b64("x".repeat(40_000)) })).body).toBe("x".repeat(40_000));
    expect(decodeEnvelope(envelope({ body: "W10" })).body).toBe("[]");
    expect(decodeEnvelope(envelope({ body: "" })).body).toBe("");
    const bytes = new Uint8Array([255, 254]);
    for (const size of [1, 20_000]) {
      const broken = Buffer.concat(Array.from({ length: size }, () => bytes));
      expect(decodeEnvelope(envelope({ body: b64(broken) })).body).toEqual(broken);
    }
    expect(decodeEnvelope(envelope({ body: "W10=", headers: { compression: "x" } })).body).toEqual(
      Buffer.from("[]"),
    );
    expect(decodeEnvelope(envelope({ body: "W10=", "content-encoding": "binary" })).body).toEqual(
      Buffer.from("[]"),
    );
    for (const encoding of ["utf-8", "utf8", null]) {
      expect(decodeEnvelope(envelope({ properties: { body_encoding: encoding } })).body).toBe("W10=");
    }
  });

  test("a message beyond the limit is refused before it is parsed, counted in bytes", () => {
    const limits = { ...DEFAULT_LIMITS, maxMessageBytes: 300 };
    const tooLarge = expect.objectContaining({ code: "PET_MESSAGE_TOO_LARGE" }) as Error;
    expect(() => decodeEnvelope("x".repeat(301), limits)).toThrow(tooLarge);
    expect(() => decodeEnvelope("中".repeat(101), limits)).toThrow(tooLarge);
    expect(decodeEnvelope(`{"body":"${"x".repeat(280)}"}`, limits).body).toHaveLength(280);
  });

  test("nesting beyond the limit is refused", () => {
    const deep = `{"headers":${'{"a":'.repeat(300)}1${"}".repeat(300)}}`;
    expect(() => decodeEnvelope(deep)).toThrow(
      expect.objectContaining({ code: "PET_MESSAGE_TOO_LARGE" }) as Error,
    );
  });
});

test("every envelope that is written is read back equal", () => {
  const record = fc.dictionary(
    fc.string({ unit: "binary" }).filter((key) => !key.startsWith("__")),
    fc.jsonValue().filter((value) => !JSON.stringify(value).includes("__proto__")),
  );
  const message = fc.record({
    body: fc.oneof(fc.string({ unit: "grapheme" }), fc.uint8Array({ maxLength: 200 })),
    contentType: fc.string(),
    contentEncoding: fc.constantFrom("utf-8", "binary"),
    headers: record,
    properties: record,
  });
  const route = fc.record({
    exchange: fc.string(),
    routingKey: fc.string(),
    priority: fc.nat(9),
    deliveryTag: fc.uuid(),
  });
  fc.assert(
    fc.property(message, route, (sent, to) => {
      const read = decodeEnvelope(encodeEnvelope(sent, to));
      expect(Buffer.from(read.body)).toEqual(Buffer.from(sent.body));
      expect(JSON.stringify([read.contentType, read.contentEncoding, read.headers])).toBe(
        JSON.stringify([sent.contentType, sent.contentEncoding, sent.headers]),
      );
      expect(read.properties).toMatchObject({
        delivery_tag: to.deliveryTag,
        delivery_info: { exchange: to.exchange, routing_key: to.routingKey },
      });
      const again = decodeEnvelope(encodeEnvelope(read, to));
      expect(again).toEqual(read);
    }),
    { seed },
  );
});
