/**
 * Every message that Python's clients sent in `messages.json` and `config_variants.json` is read, and written again from
 * what was read. Written messages are compared parsed and decompressed; only the sender's language and a new delivery tag
 * may differ, and what is listed here by name.
 */
import { Buffer } from "node:buffer";
import * as zlib from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { loadCodec } from "../../../src/codecs/index.ts";
import { EncodeError, SecurityError } from "../../../src/errors.ts";
import { decompress } from "../../../src/protocol/compression.ts";
import { decodeEnvelope, encodeEnvelope } from "../../../src/protocol/envelope.ts";
import { decodeTask, encodeTask } from "../../../src/protocol/message.ts";
import { reprArgs, reprKwargs } from "../../../src/protocol/python-repr.ts";
import { deserialize } from "../../../src/protocol/serialization.ts";
import { Decimal, PlainDate, PlainTime, Uuid } from "../../../src/protocol/values.ts";
import { DEFAULT_LIMITS, type DecodedTask, type OutgoingTask } from "../../../src/protocol/wire.ts";
import { thrownBy } from "../../support/thrown-by.ts";
import { envelopesOf, vectorEntries } from "../../support/vectors.ts";

const READ = { accept: ["json", "msgpack", "yaml"], limits: DEFAULT_LIMITS };
type Json = Record<string, unknown>;

/** Entries that sent nothing, and why. */
const SENT_NOTHING: Readonly<Record<string, string>> = {
  json_set_rejected: "kombu cannot encode a set either",
  json_asyncresult_arg: "kombu cannot encode an AsyncResult",
  exchange_fanout_broadcast: "a Broadcast to an exchange that was not declared: lost by kombu",
  result_expires_none: "stores a result: meta.test.ts",
  result_compression_unused: "stores a result: meta.test.ts",
  result_serializer_msgpack: "stores a result: meta.test.ts",
  result_serializer_yaml: "stores a result: meta.test.ts",
  fanout_no_prefix: "control traffic only: read below",
  fanout_custom_prefix: "control traffic only: read below",
};

/** Entries that are read, but not written again, with the refusal that a sender gets. */
const nodeWritesZstd = "zstdCompressSync" in zlib;
const READ_ONLY: Readonly<Record<string, { readonly write: object; readonly refusal: RegExp }>> = {
  compression_bzip2: {
    write: { compression: "bzip2" },
    refusal: /^bzip2 is only read here, not written: .*gzip or brotli/,
  },
  compression_lzma: {
    write: { compression: "lzma" },
    refusal: /^lzma is only read here, not written: .*gzip or brotli/,
  },
  ...(nodeWritesZstd
    ? {}
    : {
        compression_zstd: {
          write: { compression: "zstd" },
          refusal: /^zstd is only read here, not written: this Node has no zstd/,
        },
      }),
  task_protocol_1: {
    write: { protocol: 1 },
    refusal: /^task protocol 1 is only read, not written: .*Set taskProtocol to 2/,
  },
  task_protocol_1_chain: { write: { protocol: 1 }, refusal: /^task protocol 1 is only read/ },
};
/** Python had tuples inside, or a list where a tuple is usual; an array is a list here. */
const OTHER_REPR: Readonly<Record<string, readonly string[]>> = {
  send_task_by_name: ["argsrepr"],
  chunks: ["kwargsrepr"],
  map: ["kwargsrepr"],
  starmap: ["kwargsrepr"],
  json_signature_arg: ["argsrepr"],
  json_types: ["argsrepr"],
};

const messages = vectorEntries("messages");
const variants = vectorEntries("config_variants");
const sending = [...messages, ...variants].filter((entry) => envelopesOf(entry).length > 0);

beforeAll(async () => {
  for (const codec of ["msgpack", "yaml", "bzip2", "lzma", "zstd"]) await loadCodec(codec);
});

function outgoing(task: DecodedTask, headers: Json): OutgoingTask {
  const own: Json = {};
  for (const name of Object.keys(headers)) if (!CELERYS.has(name)) own[name] = headers[name];
  const { expiration } = task.properties as { expiration?: string };
  const properties = Object.fromEntries(
    Object.entries(task.properties).filter(([name]) => !OWN_PROPERTIES.has(name)),
  );
  return {
    ...task,
    embed: task.embed,
    eta: headers["eta"] as string | null,
    expires: headers["expires"] as string | null,
    expirationMs: expiration === undefined ? null : Number(expiration),
    ignoreResult: task.ignoreResult === true,
    stampedHeaders: headers["stamped_headers"] as readonly string[] | null,
    origin: String(task.origin),
    deliveryMode: 2,
    headers: Object.keys(own).length === 0 ? null : own,
    extraProperties: Object.keys(properties).length === 0 ? null : properties,
    argsrepr: null,
    kwargsrepr: null,
  };
}
const CELERYS = new Set(
  [
    "lang task id shadow eta expires group group_index retries timelimit root_id parent_id argsrepr kwargsrepr origin",
    "ignore_result replaced_task_nesting stamped_headers stamps compression",
  ].flatMap((names) => names.split(" ")),
);

const OWN_PROPERTIES = new Set(
  "correlation_id reply_to delivery_mode delivery_info priority body_encoding delivery_tag expiration".split(
    " ",
  ),
);

const SERIALIZERS: Readonly<Record<string, string>> = {
  "application/json": "json",
  "application/x-msgpack": "msgpack",
  "application/x-yaml": "yaml",
};

/** An envelope with its body as data. Body texts that are JSON are parsed natively: kombu's forms stay to be compared. */
function opened(raw: string): Json {
  const { body, ...envelope } = JSON.parse(raw) as Json & { body: string; headers: Json; properties: Json };
  let bytes: Uint8Array =
    envelope.properties["body_encoding"] === "base64" ? Buffer.from(body, "base64") : Buffer.from(body);
  if (envelope.headers["compression"] !== undefined) {
    bytes = decompress(bytes, envelope.headers["compression"] as string);
  }
  const contentType = envelope["content-type"] as string;
  const text = Buffer.from(bytes)
    .toString("utf8")
    .replace(/(?<=[:,[] ?)(NaN|Infinity|\d{19})(?=[,\]}])/g, '"$1"');
  const content: unknown =
    contentType === "application/json"
      ? JSON.parse(text)
      : deserialize(bytes, { contentType, contentEncoding: "binary", accept: READ.accept });
  return { ...envelope, content };
}

/** What `decodeTask` must give, straight from the envelope. */
function expectedFields(name: string, { headers, properties, content }: Json): Json {
  const header = headers as Json;
  const property = properties as Json;
  const info = property["delivery_info"] as Json;
  const sent = {
    correlationId: property["correlation_id"],
    replyTo: property["reply_to"],
    priority: property["priority"],
    deliveryInfo: { exchange: info["exchange"], routingKey: info["routing_key"], redelivered: false },
  };
  if (name.startsWith("task_protocol_1")) return { ...sent, protocol: 1 };
  const [args, kwargs, embed] = content as unknown[];
  const [timeLimit, softTimeLimit] = header["timelimit"] as unknown[];
  return {
    ...sent,
    // kombu's types become values: compared below.
    ...(name === "json_types" ? {} : { args, kwargs }),
    embed,
    timeLimit,
    softTimeLimit,
    protocol: 2,
    lang: "py",
    id: header["id"],
    task: header["task"],
    rootId: header["root_id"],
    parentId: header["parent_id"],
    group: header["group"],
    groupIndex: header["group_index"],
    retries: header["retries"],
    shadow: header["shadow"],
    origin: header["origin"],
    ignoreResult: header["ignore_result"],
    replacedTaskNesting: header["replaced_task_nesting"],
    stamps: header["stamps"],
    stampedHeaders: header["stamped_headers"] ?? [],
    argsrepr: header["argsrepr"],
    kwargsrepr: header["kwargsrepr"],
  };
}

describe("every message of a Python client", () => {
  test("is accounted for", () => {
    const silent = [...messages, ...variants].filter((entry) => envelopesOf(entry).length === 0);
    expect(silent.map((entry) => entry.name).sort()).toEqual(Object.keys(SENT_NOTHING).sort());
    expect(sending.flatMap((entry) => envelopesOf(entry))).toHaveLength(111);
  });

  test.each(sending.filter(({ name }) => name !== "serializer_pickle"))("$name is read", (entry) => {
    for (const raw of envelopesOf(entry)) {
      const task = decodeTask(decodeEnvelope(raw), READ);
      const expected = expectedFields(entry.name, opened(raw));
      const fields = Object.fromEntries(
        Object.keys(expected).map((name) => [name, (task as unknown as Json)[name]]),
      );
      expect(fields).toEqual(expected);
    }
  });

  test.each(sending.filter(({ name }) => name in READ_ONLY))(
    "$name is refused at send, with the reason",
    (entry) => {
      const task = decodeTask(decodeEnvelope(String(envelopesOf(entry)[0])), READ);
      const { write, refusal } = READ_ONLY[entry.name] ?? { write: {}, refusal: /never/ };
      const error = thrownBy(() =>
        encodeTask(outgoing(task, task.headers), { serializer: "json", compression: null, ...write }),
      );
      expect(error).toBeInstanceOf(EncodeError);
      expect((error as Error).message).toMatch(refusal);
    },
  );

  const written = sending.filter(({ name }) => !(name in READ_ONLY) && name !== "serializer_pickle");
  test.each(written)("$name is written as Python wrote it", (entry) => {
    for (const raw of envelopesOf(entry)) {
      const expected = opened(raw) as Json & { headers: Json };
      const actual = opened(writtenAgain(raw)) as Json & { headers: Json };
      const names = Object.keys(expected.headers);
      expected.headers["lang"] = "js";
      // What a stamping visitor adds without naming it a stamp comes with canvas.
      if (entry.name === "json_types") expected["content"] = withoutMicroseconds(expected["content"]);
      for (const name of OTHER_REPR[entry.name] ?? []) expected.headers[name] = expect.any(String);
      expect(actual).toEqual(expected);
      expect(Object.keys(actual.headers)).toEqual(names);
    }
  });
});

/** What we write of what we read. */
function writtenAgain(raw: string): string {
  const message = decodeEnvelope(raw);
  const task = decodeTask(message, READ);
  const { compression } = message.headers as { compression?: string };
  const written = encodeTask(outgoing(task, message.headers), {
    serializer: String(SERIALIZERS[message.contentType]),
    compression: compression ?? null,
  });
  const { body_encoding, delivery_tag } = message.properties;
  return encodeEnvelope(
    { ...written, properties: { ...written.properties, body_encoding } },
    { ...task.deliveryInfo, priority: 0, deliveryTag: String(delivery_tag) },
  );
}

/** The first argument was naive and had 900 µs more: a Date has an offset and milliseconds. */
function withoutMicroseconds(content: unknown): unknown {
  const [args, ...rest] = content as [unknown[], ...unknown[]];
  const [first, ...others] = args;
  expect(first).toEqual({ __type__: "datetime", __value__: "2024-01-02T03:04:05.678900" });
  return [[{ __type__: "datetime", __value__: "2024-01-02T03:04:05.678000+00:00" }, ...others], ...rest];
}

describe("single messages", () => {
  const decoded = (name: string): DecodedTask => {
    const entry = sending.find((candidate) => candidate.name === name);
    if (entry === undefined) throw new Error(`no entry ${name}`);
    return decodeTask(decodeEnvelope(String(envelopesOf(entry)[0])), READ);
  };

  test("kombu's JSON types arrive as values of their own", () => {
    const { args, kwargs } = decoded("json_types");
    expect(args).toEqual([
      new Date("2024-01-02T03:04:05.678Z"),
      new Date("2024-01-02T03:04:05Z"),
      new PlainDate("2024-01-02"),
      new PlainTime("03:04:05.000006"),
      new Uuid("12345678-1234-5678-1234-567812345678"),
      new Decimal("1.50"),
      new Uint8Array([0x61, 0x62, 0x63]),
      new Uint8Array([0xff, 0xfe]),
      [1, 2],
    ]);
    expect(kwargs).toEqual({ nan: Number.NaN, inf: Number.POSITIVE_INFINITY, big: 2n ** 70n });
  });

  test("argsrepr and kwargsrepr are Python's, tuples inside aside", () => {
    let compared = 0;
    for (const entry of sending) {
      for (const raw of envelopesOf(entry)) {
        if (entry.name === "serializer_pickle") continue;
        const task = decodeTask(decodeEnvelope(raw), READ);
        if (task.protocol === 1) continue;
        const other = OTHER_REPR[entry.name] ?? [];
        const shown: Json = { argsrepr: reprArgs(task.args), kwargsrepr: reprKwargs(task.kwargs) };
        for (const name of other) shown[name] = (task as unknown as Json)[name];
        expect(shown).toEqual({ argsrepr: task.argsrepr, kwargsrepr: task.kwargsrepr });
        compared++;
      }
    }
    expect(compared).toBe(108);
    expect(reprArgs(decoded("json_types").args).replaceAll("[1, 2]", "(1, 2)")).toBe(
      decoded("json_types").argsrepr?.replace("678900)", "678000, tzinfo=datetime.timezone.utc)"),
    );
    expect(reprKwargs(decoded("starmap").kwargs)).toBe(
      decoded("starmap")
        .kwargsrepr?.replace("()", "[]")
        .replaceAll(/\((\d), (\d)\)/g, "[$1, $2]"),
    );
  });

  test("an ETA keeps its instant: with offset, in UTC, and naive as UTC", () => {
    expect(decoded("eta_utc").etaMs).toBe(Date.UTC(2030, 0, 2, 3, 4, 5, 678));
    expect(decoded("eta_offset").etaMs).toBe(Date.UTC(2030, 0, 2, 1, 4, 5));
    expect(decoded("eta_naive").etaMs).toBe(Date.UTC(2030, 0, 2, 3, 4, 5));
    expect(decoded("timezone_berlin_utc").etaMs).not.toBeNull();
    expect(decoded("expires_datetime").expiresMs).toBe(Date.UTC(2030, 0, 2, 3, 4, 5));
  });

  test("protocol 1 is lifted: callbacks stay, a chain stays nested in their links", () => {
    const task = decoded("task_protocol_1");
    expect(task).toMatchObject({
      protocol: 1,
      task: "vt.add",
      args: [1, 1],
      kwargs: {},
      retries: 0,
      lang: "py",
    });
    expect(task.rootId).toBe(task.id);
    expect(task.etaMs).toBe(Date.UTC(2026, 10, 21, 0, 52, 17, 403));
    expect(task.expiresMs).toBe(Date.UTC(2026, 10, 21, 0, 53, 7, 403));
    expect(task.embed.callbacks?.map((signature) => signature.args)).toEqual([[3]]);
    const chain = decoded("task_protocol_1_chain");
    expect(chain.embed.chain).toBeNull();
    const [next] = chain.embed.callbacks ?? [];
    expect(next?.args).toEqual([2]);
    expect(next?.options["link"]).toMatchObject([{ task: "vt.add", args: [3] }]);
  });

  test("pickle is refused by name, with the setting to change", () => {
    const entry = sending.find(({ name }) => name === "serializer_pickle");
    const message = decodeEnvelope(String(envelopesOf(entry ?? { name: "", how: "", commands: [] })[0]));
    for (const accept of [["json"], ["pickle"], ["application/x-python-serialize"]]) {
      const read = (): unknown => decodeTask(message, { ...READ, accept });
      expect(read).toThrow(SecurityError);
      expect(read).toThrow(/^pickle is never read or written.*task_serializer/);
    }
  });

  test("control and event traffic of Python's clients and workers is read", () => {
    let count = 0;
    for (const entry of [...variants, ...vectorEntries("execution"), ...vectorEntries("events")]) {
      for (const raw of envelopesOf(entry, "PUBLISH")) {
        const { body, contentType, contentEncoding } = decodeEnvelope(raw);
        expect(deserialize(body, { contentType, contentEncoding, accept: ["json"] })).toBeTypeOf("object");
        count++;
      }
    }
    expect(count).toBeGreaterThan(200);
  });
});
