import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { loadCodec } from "../../../src/codecs/index.ts";
import { DecodeError, EncodeError, SecurityError } from "../../../src/errors.ts";
import { decodeMeta, encodeMeta } from "../../../src/protocol/meta.ts";
import { registerSerializer } from "../../../src/protocol/serialization.ts";
import { DEFAULT_LIMITS, type ResultMeta } from "../../../src/protocol/wire.ts";
import { seed } from "../../support/seed.ts";
import { metasOf, vectorEntries } from "../../support/vectors.ts";

const READ = { accept: ["json", "msgpack", "yaml"] };
const META: ResultMeta = {
  taskId: "t1",
  status: "SUCCESS",
  result: 5,
  traceback: null,
  children: [],
  dateDone: "2026-11-21T00:54:57.981000+00:00",
  extra: {},
};

beforeAll(async () => {
  await loadCodec("msgpack");
  await loadCodec("yaml");
});

describe("results that Python's workers stored", () => {
  const stored = [
    ...vectorEntries("execution"),
    ...vectorEntries("extra"),
    ...vectorEntries("config_variants"),
  ].flatMap((entry) => metasOf(entry).map((value, index) => ({ name: `${entry.name} ${index}`, value })));
  const texts = stored.filter((one): one is { name: string; value: string } =>
    String(one.value).startsWith("{"),
  );

  test("are read and written again, equal and in Python's order of keys", () => {
    expect(texts.length).toBeGreaterThan(100);
    for (const { name, value } of texts) {
      const again = JSON.parse(encodeMeta(decodeMeta(value, READ))) as object;
      // A Date has an offset, and milliseconds.
      const expected = JSON.parse(
        value.replace("2024-01-02T03:04:05.678900", "2024-01-02T03:04:05.678000+00:00"),
      ) as object;
      expect({ name, keys: Object.keys(again), again }).toEqual({
        name,
        keys: Object.keys(expected),
        again: expected,
      });
    }
  });

  test("in msgpack and YAML are read; msgpack is written byte for byte", () => {
    const named = (name: string): string | Uint8Array => {
      const found = stored.find((one) => one.name === `${name} 0`);
      return found?.value ?? "";
    };
    const expected = {
      taskId: "tid1",
      status: "SUCCESS",
      result: { a: [1, null] },
      children: null,
      traceback: null,
    };
    const msgpack = named("result_serializer_msgpack");
    const packed = decodeMeta(msgpack, { ...READ, serializer: "msgpack" });
    expect(packed).toMatchObject({ ...expected, dateDone: "2026-11-21T00:52:15.535697+00:00" });
    expect(Buffer.from(encodeMeta(packed, "msgpack"))).toEqual(msgpack);

    const yaml = named("result_serializer_yaml");
    const read = decodeMeta(yaml, { ...READ, serializer: "yaml" });
    expect(read).toMatchObject({ ...expected, dateDone: "2026-11-21T00:52:17.055082+00:00" });
    expect(decodeMeta(encodeMeta(read, "yaml"), { ...READ, serializer: "yaml" })).toEqual(read);
  });
});

describe("encodeMeta", () => {
  test("writes Celery's keys in order, with extra fields before the id", () => {
    expect(
      encodeMeta({ ...META, extra: { group_id: "g", parent_id: undefined, name: "vt.add", args: [1, 2] } }),
    ).toBe(
      '{"status":"SUCCESS","result":5,"traceback":null,"children":[],"date_done":"2026-11-21T00:54:57.981000+00:00","group_id":"g","name":"vt.add","args":[1,2],"task_id":"t1"}',
    );
    expect(
      encodeMeta({
        ...META,
        status: "PROGRESS",
        result: { done: 1 },
        children: null,
        dateDone: null,
        traceback: 'a "b"',
      }),
    ).toBe(
      '{"status":"PROGRESS","result":{"done":1},"traceback":"a \\"b\\"","children":null,"date_done":null,"task_id":"t1"}',
    );
    expect(encodeMeta({ ...META, children: [[["c", null], null]] })).toContain(
      '"children":[[["c",null],null]]',
    );
  });

  test("a result of nothing is null", () => {
    expect(decodeMeta(encodeMeta({ ...META, result: undefined }), READ).result).toBeNull();
    expect(
      decodeMeta(encodeMeta({ ...META, result: undefined }, "msgpack"), { ...READ, serializer: "msgpack" })
        .result,
    ).toBeNull();
  });

  test("a result that cannot travel is named with its path", () => {
    expect(() => encodeMeta({ ...META, result: { rows: new Map() } })).toThrow(EncodeError);
    expect(() => encodeMeta({ ...META, result: { rows: new Map() } })).toThrow(
      /^the result\.rows is a Map: /,
    );
  });

  test("what is written is read back", () => {
    const meta = fc.record({
      taskId: fc.string({ minLength: 1, unit: "binary" }),
      status: fc.constantFrom("SUCCESS", "FAILURE", "PROGRESS"),
      result: fc.jsonValue().filter((value) => !JSON.stringify(value).includes("__proto__")),
      traceback: fc.option(fc.string({ unit: "binary" })),
      children: fc.option(
        fc.array(fc.jsonValue().filter((value) => !JSON.stringify(value).includes("__proto__"))),
      ),
      dateDone: fc.constantFrom(null, "2026-11-21T00:54:57.981000+00:00"),
      extra: fc.constantFrom({}, { group_id: "g", parent_id: "p" }),
    });
    fc.assert(
      fc.property(meta, (value) => {
        const read = decodeMeta(encodeMeta(value), READ);
        expect(JSON.stringify(read)).toBe(JSON.stringify(value));
      }),
      { seed },
    );
  });
});

describe("decodeMeta", () => {
  test.each([
    ["5", "the stored result is not an object"],
    ["[]", "the stored result is not an object"],
    ["null", "the stored result is not an object"],
    ["{}", "the stored result has no status"],
    ['{"status":1}', "the stored result has no status"],
    ['{"status":"SUCCESS"}', "the stored result has no task_id"],
    ["{", "not JSON: it ends too early"],
  ])("%s is refused", (text, reason) => {
    expect(() => decodeMeta(text, READ)).toThrow(DecodeError);
    expect(() => decodeMeta(text, READ)).toThrow(reason);
  });

  test("what is missing or of a wrong type beside these becomes null", () => {
    expect(
      decodeMeta('{"status":"S","task_id":"t","traceback":5,"children":{},"date_done":1}', READ),
    ).toEqual({
      taskId: "t",
      status: "S",
      result: null,
      traceback: null,
      children: null,
      dateDone: null,
      extra: {},
    });
  });

  test("a date_done that a serializer gave as a Date becomes a text", () => {
    const text =
      '{"status":"S","task_id":"t","date_done":{"__type__":"datetime","__value__":"2026-01-02T03:04:05"}}';
    expect(decodeMeta(text, READ).dateDone).toBe("2026-01-02T03:04:05.000Z");
  });

  test("a serializer that is not accepted, and a text beyond the limits, are refused", () => {
    expect(() => decodeMeta("x", { accept: ["json"], serializer: "yaml" })).toThrow(SecurityError);
    expect(() => decodeMeta("x", { accept: ["json"], serializer: "pickle" })).toThrow(/^pickle is never/);
    const limits = { ...DEFAULT_LIMITS, maxDecompressedBytes: 10 };
    for (const stored of [encodeMeta(META), Buffer.from(encodeMeta(META))]) {
      expect(() => decodeMeta(stored, { ...READ, limits })).toThrow(
        expect.objectContaining({ code: "PET_MESSAGE_TOO_LARGE" }),
      );
    }
  });

  test("a serializer of the user's own is found by its name", () => {
    registerSerializer({
      name: "shouting",
      contentType: "text/x-shouting",
      contentEncoding: "utf-8",
      encode: (value) => JSON.stringify(value).toUpperCase(),
      decode: () => ({ status: "SUCCESS", task_id: "loud" }),
    });
    expect(encodeMeta(META, "shouting")).toContain('"STATUS"');
    expect(decodeMeta("", { accept: ["shouting"], serializer: "shouting" }).taskId).toBe("loud");
  });
});
