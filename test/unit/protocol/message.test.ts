import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DecodeError, EncodeError, SecurityError } from "../../../src/errors.ts";
import { type DecodeOptions, decodeTask, encodeTask, taskIdOf } from "../../../src/protocol/message.ts";
import { DEFAULT_LIMITS, type DecodedTask, type WireMessage } from "../../../src/protocol/wire.ts";
import { outgoingTask } from "../../support/outgoing-task.ts";
import { seed } from "../../support/seed.ts";

const READ: DecodeOptions = { accept: ["json"], limits: DEFAULT_LIMITS };
const JSON_FORMAT = { serializer: "json", compression: null };
const TASK = outgoingTask();
const SIGNATURE = {
  task: "shop.add",
  args: [1],
  kwargs: {},
  options: {},
  subtask_type: null,
  immutable: false,
};

function message(
  headers: Record<string, unknown>,
  body: unknown,
  properties: Record<string, unknown> = {},
): WireMessage {
  return {
    body: typeof body === "string" ? body : JSON.stringify(body),
    contentType: "application/json",
    contentEncoding: "utf-8",
    headers,
    properties,
  };
}
const v2 = (headers: Record<string, unknown>, embed: unknown = null): WireMessage =>
  message({ task: "t", id: "i", ...headers }, [[1], { a: 2 }, embed]);

describe("encodeTask", () => {
  test("writes every header that Python writes, in Python's order", () => {
    const { headers, properties, body, contentType, contentEncoding } = encodeTask(TASK, JSON_FORMAT);
    expect(Object.entries(headers)).toEqual([
      ["lang", "js"],
      ["task", "shop.add"],
      ["id", "i1"],
      ["shadow", null],
      ["eta", null],
      ["expires", null],
      ["group", null],
      ["group_index", null],
      ["retries", 0],
      ["timelimit", [null, null]],
      ["root_id", "i1"],
      ["parent_id", null],
      ["argsrepr", "(2, 3)"],
      ["kwargsrepr", "{}"],
      ["origin", "gen1@host"],
      ["ignore_result", false],
      ["replaced_task_nesting", 0],
      ["stamped_headers", null],
      ["stamps", {}],
    ]);
    expect(properties).toEqual({ correlation_id: "i1", reply_to: "", delivery_mode: 2, priority: 0 });
    expect(body).toBe('[[2,3],{},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]');
    expect([contentType, contentEncoding]).toEqual(["application/json", "utf-8"]);
  });

  test("own headers stand beside Celery's, and cannot replace what makes the message", () => {
    const { headers } = encodeTask({ ...TASK, headers: { tenant: "acme", root_id: "r" } }, JSON_FORMAT);
    expect(headers).toMatchObject({ tenant: "acme", root_id: "r", id: "i1" });
    for (const name of ["id", "task", "__proto__"]) {
      const own = JSON.parse(`{"${name}":"x"}`) as Record<string, unknown>;
      expect(() => encodeTask({ ...TASK, headers: own }, JSON_FORMAT)).toThrow(
        new EncodeError(`a header cannot be named "${name}": Celery's own would be lost`),
      );
    }
  });

  test("the reprs can be overridden, the expiration is whole ms", () => {
    const secret = { ...TASK, argsrepr: "(***)", kwargsrepr: "{***}", expirationMs: 60_000.4, priority: 7 };
    const { headers, properties } = encodeTask(secret, JSON_FORMAT);
    expect(headers).toMatchObject({ argsrepr: "(***)", kwargsrepr: "{***}" });
    expect(properties).toMatchObject({ expiration: "60000", priority: 7 });
    expect(encodeTask({ ...TASK, expirationMs: -5 }, JSON_FORMAT).properties).toMatchObject({
      expiration: "0",
    });
  });

  test("compressed, the header says how, and the body is a zlib stream", () => {
    const { headers, body } = encodeTask(TASK, { serializer: "json", compression: "gzip" });
    expect(headers["compression"]).toBe("application/x-gzip");
    expect((body as Uint8Array)[0]).toBe(0x78);
  });

  test("an argument that cannot travel is named with its path", () => {
    expect(() => encodeTask({ ...TASK, args: [1, { when: new Set() }] }, JSON_FORMAT)).toThrow(
      /^args\[1\]\.when is a Set/,
    );
    expect(() => encodeTask({ ...TASK, kwargs: { f: () => 1 } }, JSON_FORMAT)).toThrow(
      /^kwargs\.f is a function/,
    );
  });

  test("what is not here is refused, and says what to load", () => {
    const unavailable = (format: object): unknown => {
      try {
        return encodeTask(TASK, { ...JSON_FORMAT, ...format });
      } catch (error) {
        return error;
      }
    };
    expect(unavailable({ serializer: "msgpack" })).toMatchObject({
      code: "PET_CODEC_UNAVAILABLE",
      codec: "msgpack",
    });
    expect(unavailable({ serializer: "xml" })).toMatchObject({ code: "PET_CODEC_UNAVAILABLE", codec: null });
    expect(unavailable({ serializer: "pickle" })).toBeInstanceOf(SecurityError);
    expect(unavailable({ compression: "rar" })).toMatchObject({ code: "PET_CODEC_UNAVAILABLE", codec: null });
    expect(unavailable({ protocol: 1 })).toMatchObject({ code: "PET_UNSUPPORTED" });
    expect(unavailable({ protocol: 2 })).toHaveProperty("body");
  });
});

describe("decodeTask of protocol 2", () => {
  test("fills in what a minimal message leaves out", () => {
    expect(decodeTask(v2({}), READ)).toEqual({
      protocol: 2,
      id: "i",
      task: "t",
      args: [1],
      kwargs: { a: 2 },
      embed: { callbacks: null, errbacks: null, chain: null, chord: null },
      etaMs: null,
      expiresMs: null,
      retries: 0,
      timeLimit: null,
      softTimeLimit: null,
      rootId: "i",
      parentId: null,
      group: null,
      groupIndex: null,
      shadow: null,
      ignoreResult: null,
      replacedTaskNesting: 0,
      stampedHeaders: [],
      stamps: {},
      origin: null,
      lang: "py",
      argsrepr: null,
      kwargsrepr: null,
      correlationId: "i",
      replyTo: null,
      priority: 0,
      deliveryInfo: { exchange: "", routingKey: "", redelivered: false },
      headers: { task: "t", id: "i" },
      properties: {},
    });
  });

  test("reads what is there", () => {
    const headers = {
      eta: "2030-01-02T03:04:05Z",
      expires: { __type__: "x" },
      timelimit: [10, 2.5],
      stamped_headers: ["s", 5],
      stamps: { s: 1 },
      ignore_result: true,
      group: "g",
      group_index: 0,
      redelivered: true,
    };
    const task = decodeTask(v2({ ...headers, expires: new Date(5) }), READ);
    expect(task).toMatchObject({
      etaMs: Date.UTC(2030, 0, 2, 3, 4, 5),
      expiresMs: 5,
      timeLimit: 10,
      softTimeLimit: 2.5,
      stampedHeaders: ["s"],
      stamps: { s: 1 },
      ignoreResult: true,
      group: "g",
      groupIndex: 0,
      deliveryInfo: { redelivered: true },
    });
    const info = { exchange: "e", routing_key: "r", redelivered: true };
    expect(
      decodeTask(
        { ...v2({}), properties: { delivery_info: info, priority: 5, reply_to: "q", correlation_id: "c" } },
        READ,
      ),
    ).toMatchObject({
      deliveryInfo: { exchange: "e", routingKey: "r", redelivered: true },
      priority: 5,
      replyTo: "q",
      correlationId: "c",
    });
  });

  test("callbacks, errbacks, chain and chord are signatures, filled in", () => {
    const embed = {
      callbacks: [SIGNATURE, { task: "b" }],
      errbacks: { task: "e" },
      chain: [],
      chord: { ...SIGNATURE, chord_size: 2 },
    };
    const read = decodeTask(v2({}, embed), READ).embed;
    expect(read.callbacks).toEqual([
      SIGNATURE,
      { task: "b", args: [], kwargs: {}, options: {}, subtask_type: null, immutable: false },
    ]);
    expect(read.errbacks).toMatchObject([{ task: "e" }]);
    expect(read.chain).toBeNull();
    expect(read.chord).toEqual({ ...SIGNATURE, chord_size: 2 });
    expect(decodeTask(v2({}, {}), READ).embed.chord).toBeNull();
  });

  test.each<[string, WireMessage, string]>([
    [
      "no task",
      message({ id: "i" }, [[], {}, {}]),
      "not a task message: it has no header named task, and its body is not protocol 1's",
    ],
    [
      "a task that is no text",
      v2({ task: 5 }),
      "not a task message: it has no header named task, and its body is not protocol 1's",
    ],
    ["no id", message({ task: "t" }, [[], {}, {}]), "the header id is missing"],
    ["an empty id", v2({ id: "" }), "the header id is not a text"],
    [
      "a body that is a text",
      message({ task: "t", id: "i" }, '"x"'),
      "the body must be [args, kwargs, embed]: it has no array",
    ],
    [
      "a body that is an object without args",
      message({ task: "t", id: "i" }, {}),
      "the body must be [args, kwargs, embed]: it has no array",
    ],
    [
      "four elements",
      message({ task: "t", id: "i" }, [1, 2, 3, 4]),
      "the body must be [args, kwargs, embed]: it has 4 elements",
    ],
    [
      "args that are an object",
      message({ task: "t", id: "i" }, [{}, {}, {}]),
      "args, the body's first element, is not an array",
    ],
    [
      "kwargs that are an array",
      message({ task: "t", id: "i" }, [[], [], {}]),
      "kwargs, the body's second element, is not an object",
    ],
    [
      "kwargs that are a Date",
      message({ task: "t", id: "i" }, '[[],{"__type__":"datetime","__value__":"2024-01-02"},null]'),
      "kwargs, the body's second element, is not an object",
    ],
    ["embed that is a number", v2({}, 5), "embed, the body's third element, is not an object"],
    ["a callback that is a text", v2({}, { callbacks: ["x"] }), "callbacks[0] is not an object"],
    [
      "a callback without task",
      v2({}, { callbacks: [{ args: [] }] }),
      "callbacks[0] is not a signature: its task is not a text",
    ],
    [
      "an errback with odd args",
      v2({}, { errbacks: [{ task: "t", args: {} }] }),
      "errbacks[0] is not a signature: its args are not an array",
    ],
    [
      "a chain with odd kwargs",
      v2({}, { chain: [{ task: "t", kwargs: [] }] }),
      "chain[0].kwargs is not an object",
    ],
    [
      "a chord with odd options",
      v2({}, { chord: { task: "t", options: 1 } }),
      "chord.options is not an object",
    ],
    ["an eta that is a number", v2({ eta: 5 }), "the header eta is not an ISO 8601 text"],
    [
      "an expiry that is no date",
      v2({ expires: "soon" }),
      'the header expires: "soon" is not an ISO 8601 date',
    ],
    ["negative retries", v2({ retries: -1 }), "the header retries is not a whole number"],
    ["retries that are a text", v2({ retries: "1" }), "the header retries is not a whole number"],
    [
      "odd nesting",
      v2({ replaced_task_nesting: 1.5 }),
      "the header replaced_task_nesting is not a whole number",
    ],
    ["a time limit that is a number", v2({ timelimit: 5 }), "the header timelimit is not [hard, soft]"],
    [
      "a time limit of texts",
      v2({ timelimit: ["1", null] }),
      "the header timelimit holds something else than seconds",
    ],
    ["a body that is no JSON", message({ task: "t", id: "i" }, "["), "not JSON: it ends too early"],
    ["a body that is not UTF-8", { ...v2({}), body: new Uint8Array([255]) }, "the body is not UTF-8 text"],
    [
      "an unknown compression",
      v2({ compression: "application/x-rar" }),
      'compression "application/x-rar" is not known',
    ],
    ["a compression that is no text", v2({ compression: 5 }), "the header compression is not a text"],
    [
      "a body that is not compressed",
      v2({ compression: "gzip" }),
      "the body is not gzip data: incorrect header check",
    ],
    [
      "no content type",
      { ...v2({}), contentType: "" },
      "content-type is missing: the sender must say how the body is written",
    ],
  ])("%s is refused", (_name, sent, reason) => {
    const { id } = sent.headers;
    const taskId = typeof id === "string" && id !== "" ? id : null;
    expect(() => decodeTask(sent, READ)).toThrow(DecodeError);
    expect(() => decodeTask(sent, READ)).toThrow(
      expect.objectContaining({ message: reason, taskId }) as Error,
    );
  });

  test("content that is not accepted is a SecurityError; the id is to be had from the message", () => {
    const sent = { ...v2({}), contentType: "application/x-msgpack" };
    expect(() => decodeTask(sent, READ)).toThrow(SecurityError);
    expect(taskIdOf(sent)).toBe("i");
    expect(() => decodeTask(sent, { ...READ, accept: ["msgpack"] })).toThrow(
      expect.objectContaining({ code: "PET_CODEC_UNAVAILABLE", codec: "msgpack", taskId: "i" }) as Error,
    );
    expect(taskIdOf(message({}, [], { correlation_id: "c" }))).toBeNull();
    expect(taskIdOf(message({ task: "t" }, [], { correlation_id: "c" }))).toBe("c");
    expect(taskIdOf(message({ task: "t" }, [], { correlation_id: "" }))).toBeNull();
  });

  test("kwargs from outside pollute nothing", () => {
    const body = '[[],{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"a":1},null]';
    const { kwargs } = decodeTask(message({ task: "t", id: "i" }, body), READ);
    expect(Object.keys(kwargs)).toEqual(["constructor", "a"]);
    expect({ ...kwargs }).not.toHaveProperty("polluted");
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("decodeTask of protocol 1 and of the hybrid form", () => {
  test("the body's fields become headers", () => {
    const body = {
      task: "t",
      id: "i",
      args: [1],
      kwargs: { a: 1 },
      taskset: "g",
      group_index: 2,
      retries: 3,
      timelimit: [4, 5],
      eta: "2030-01-02T03:04:05",
      callbacks: [SIGNATURE],
      errbacks: [SIGNATURE],
      chord: SIGNATURE,
    };
    const task = decodeTask(message({ tenant: "acme" }, body, { correlation_id: "i" }), READ);
    expect(task).toMatchObject({
      protocol: 1,
      id: "i",
      task: "t",
      args: [1],
      kwargs: { a: 1 },
      group: "g",
      groupIndex: 2,
      retries: 3,
      timeLimit: 4,
      softTimeLimit: 5,
      etaMs: Date.UTC(2030, 0, 2, 3, 4, 5),
      rootId: "i",
      lang: "py",
      embed: { callbacks: [SIGNATURE], errbacks: [SIGNATURE], chain: null, chord: SIGNATURE },
    });
    expect(task.headers).toMatchObject({ tenant: "acme", id: "i", task: "t" });
  });

  test("args and kwargs may be missing", () => {
    expect(decodeTask(message({}, { task: "t", id: "i" }), READ)).toMatchObject({ args: [], kwargs: {} });
  });

  test("the hybrid form takes the name from a header when the body has none", () => {
    const hybrid = message(
      { task: "t", id: "h", lang: "js" },
      { args: [1], kwargs: {}, id: "b", root_id: "r", parent_id: "p" },
    );
    expect(decodeTask(hybrid, READ)).toMatchObject({
      task: "t",
      id: "b",
      rootId: "r",
      parentId: "p",
      lang: "js",
    });
  });

  test("what is missing there is refused", () => {
    expect(() => decodeTask(message({}, { task: "t" }), READ)).toThrow("the header id is missing");
    expect(() => decodeTask(message({}, { task: "", id: "i", args: [] }), READ)).toThrow(
      "not a task message",
    );
    expect(() => decodeTask(message({}, { id: "i", args: [] }), READ)).toThrow("not a task message");
    expect(() => decodeTask(message({}, "5"), READ)).toThrow("not a task message");
  });
});

test("every task that is sent is read back equal", () => {
  const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(value);
  const name = fc.string({ minLength: 1, unit: "binary" });
  // Keys __proto__ are refused at send: json-stringify.test.ts.
  const json = fc.jsonValue().filter((value) => !JSON.stringify(value).includes("__proto__"));
  const record = fc.dictionary(
    fc.string({ unit: "binary" }).filter((key) => !key.startsWith("__")),
    json,
  );
  const signature = fc.record({
    task: name,
    args: fc.array(json),
    kwargs: record,
    options: record,
    subtask_type: fc.constantFrom(null, "chain", "group"),
    immutable: fc.boolean(),
  });
  const task = fc.record({
    id: name,
    task: name,
    args: fc.array(json),
    kwargs: record,
    embed: fc.record({
      callbacks: optional(fc.array(signature, { minLength: 1 })),
      errbacks: fc.constant(null),
      chain: optional(fc.array(signature, { minLength: 1 })),
      chord: optional(signature),
    }),
    retries: fc.nat(),
    timeLimit: optional(fc.nat()),
    softTimeLimit: optional(fc.nat()),
    rootId: name,
    parentId: optional(name),
    group: optional(name),
    groupIndex: optional(fc.nat()),
    shadow: optional(name),
    ignoreResult: fc.boolean(),
    replacedTaskNesting: fc.nat(),
    stamps: record,
    origin: name,
    replyTo: optional(name),
    priority: fc.nat(9),
  });
  const compression = fc.constantFrom(null, "gzip", "zlib", "brotli");
  fc.assert(
    fc.property(task, compression, (sent, compressed) => {
      const wire = encodeTask({ ...TASK, ...sent }, { serializer: "json", compression: compressed });
      const read = decodeTask(wire, READ) as DecodedTask & Record<string, unknown>;
      const same = Object.fromEntries(Object.keys(sent).map((field) => [field, read[field]]));
      expect(JSON.stringify(same)).toBe(JSON.stringify(sent));
    }),
    { seed },
  );
});
