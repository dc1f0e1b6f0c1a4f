/** The same calls as Python's, made here: what they put into the broker is compared with Celery's own traffic. */
import { readFileSync } from "node:fs";
import zlib from "node:zlib";
import { describe, expect, test } from "vitest";
import { kw, type SendOptions, type Signature } from "../../../src/index.ts";
import { decodeTask } from "../../../src/protocol/message.ts";
import { DEFAULT_LIMITS, type WireMessage } from "../../../src/protocol/wire.ts";
import type { Outgoing } from "../../../src/transports/transport.ts";
import { NO_EMBED, type TestApp, testApp } from "./support.ts";

interface Recorded {
  readonly name: string;
  readonly how: string;
  readonly decoded: Readonly<Record<string, readonly RecordedMessage[]>>;
}
interface RecordedMessage {
  readonly envelope: {
    readonly headers: Record<string, unknown>;
    readonly properties: Record<string, unknown>;
    readonly "content-type": string;
    readonly "content-encoding": string;
  };
  readonly body: unknown;
}

const file = new URL("../../vectors/messages.json", import.meta.url);
// Python's JSON: NaN is none of JavaScript's; no entry that is compared here has one.
const recordings = readFileSync(file, "utf8").replaceAll(/: -?(NaN|Infinity)\b/gu, ": null");
const { entries } = JSON.parse(recordings) as { readonly entries: readonly Recorded[] };

type Call = (tools: Tools) => Promise<unknown>;

interface Tools extends TestApp {
  readonly add: ReturnType<typeof tasks>["add"];
  readonly echo: ReturnType<typeof tasks>["echo"];
  readonly send: (options: SendOptions) => Promise<unknown>;
}

function tasks({ app }: TestApp) {
  const one = (name: string) => app.task(name, (x: unknown) => x);
  return {
    add: app.task("vt.add", (x: number, y: number) => x + y),
    echo: app.remote<(...args: unknown[]) => unknown>("vt.echo"),
    ident: one("vt.ident"),
    noresult: app.task("vt.noresult", { ignoreResult: true }, (x: number) => x),
    errback1: app.task("vt.errback1", (id: string) => id),
    errback3: app.errback("vt.errback3", () => null),
  };
}

/** Calls of single tasks, by the entry's name. */
const CALLS: Readonly<Record<string, Call>> = {
  plain: ({ add }) => add.applyAsync([2, 3], { taskId: "11111111-1111-4111-8111-111111111111" }),
  kwargs: ({ echo }) => echo.delay(1, "a", null, true, 2.5, kw({ k: "v", n: { x: [1, 2] } })),
  unicode: ({ app }) => app.sendTask("vt.ident", ['håæ中😀\n"q"']),
  countdown: ({ send }) => send({ countdown: 3600 }),
  eta_utc: ({ send }) => send({ eta: "2030-01-02T03:04:05.678901+00:00" }),
  eta_offset: ({ send }) => send({ eta: "2030-01-02T03:04:05+02:00" }),
  eta_naive: ({ send }) => send({ eta: "2030-01-02T03:04:05" }),
  expires_seconds: ({ send }) => send({ expires: 60 }),
  expires_datetime: ({ send }) => send({ expires: "2030-01-02T03:04:05+00:00" }),
  ignore_result_option: ({ send }) => send({ ignoreResult: true }),
  ignore_result_task: ({ app }) => app.signatureFrom(plainSignature("vt.noresult", [1])).delay(),
  time_limits: ({ send }) => send({ timeLimit: 10, softTimeLimit: 5 }),
  shadow: ({ send }) => send({ shadow: "my.shadow" }),
  custom_headers: ({ send }) => send({ headers: { "x-tenant": "acme", n: 1 } }),
  reply_to: ({ send }) => send({ replyTo: "my-reply-queue" }),
  queue_named: ({ send }) => send({ queue: "hipri" }),
  exchange_direct_rk: ({ send }) => send({ exchange: "ex1", routingKey: "rk1" }),
  send_task_by_name: ({ app }) => app.sendTask("some.remote.task", [1], { kwargs: { a: 2 } }),
  ...Object.fromEntries(
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((priority) => [
      `priority_${priority}`,
      ({ send }: Tools) => send({ priority }),
    ]),
  ),
  priority_12_clamped: ({ send }) => send({ priority: 12 }),
  link_and_link_error: ({ add, app }) =>
    add.applyAsync([2, 2], {
      link: add.s(10),
      linkError: app.remote<(id: string) => string>("vt.errback1").s(),
    }),
  link_list: ({ add, app }) =>
    add.applyAsync([2, 2], {
      link: [add.s(10), add.si(1, 1).set({ queue: "hipri" })],
      linkError: [named(app, "vt.errback1"), named(app, "vt.errback3")],
    }),
  json_signature_arg: ({ echo, add }) => echo.delay(add.s(1, 1)),
  compression_gzip: ({ send }) =>
    send({ compression: "gzip", taskId: "11111111-1111-4111-8111-111111111111" }),
  compression_zlib: ({ send }) =>
    send({ compression: "zlib", taskId: "11111111-1111-4111-8111-111111111111" }),
  compression_brotli: ({ send }) =>
    send({ compression: "brotli", taskId: "11111111-1111-4111-8111-111111111111" }),
  serializer_msgpack: ({ echo }) =>
    echo.applyAsync([1, "a", kw({ k: [1, null, true] })], {
      serializer: "msgpack",
      taskId: "11111111-1111-4111-8111-111111111111",
    }),
  serializer_yaml: ({ echo }) =>
    echo.applyAsync([1, "a", kw({ k: [1, null, true] })], {
      serializer: "yaml",
      taskId: "11111111-1111-4111-8111-111111111111",
    }),
  long_args_repr: ({ echo }) => echo.delay("x".repeat(2000), kw({ d: { a: { b: { c: { e: 1 } } } } })),
};

/** Ours of a later version, or Python's alone; each with its reason. */
const LEFT_OUT: Readonly<Record<string, RegExp>> = {
  "compared in canvas-messages.test.ts":
    /^(group|chain|chord|nested_group|chunks|map|starmap|immutable_chain|stamped)/u,
  "exchanges that only kombu declares": /^exchange_(topic|fanout_broadcast)$/u,
  "values that have another name here": /^json_(types|set_rejected|asyncresult_arg)$/u,
  "read here, never written": /^(compression_(bzip2|lzma|zstd)|serializer_pickle)$/u,
  "the worker's": /^worker_direct$/u,
};

/** Python saw a list or a Signature where we see an array and an object: its repr, for people only, differs. */
const OTHER_REPR: ReadonlySet<string> = new Set(["send_task_by_name", "json_signature_arg"]);

function named(app: TestApp["app"], task: string): Signature<[taskId: string], unknown> {
  return app.remote<(id: string) => string>(task).s();
}

function plainSignature(task: string, args: readonly unknown[]) {
  return { task, args, kwargs: {}, options: {}, subtask_type: null, immutable: false };
}

async function sentBy(call: Call): Promise<Outgoing> {
  const made = testApp();
  const { add, echo } = tasks(made);
  await call({ ...made, add, echo, send: (options) => add.applyAsync([1, 1], options) });
  const [sent] = made.transport.sent;
  if (!sent) throw new Error("nothing was sent");
  return sent;
}

const NEAR_MS = 3_700_000;

/** Volatile values out: ids that are new each time, origins, times counted from now. */
function comparable(
  message: Pick<WireMessage, "headers" | "properties">,
  ignored: readonly string[] = [],
): unknown {
  const { headers, properties } = message;
  const own: Record<string, unknown> = { ...headers };
  for (const name of ["lang", "origin", ...ignored]) delete own[name];
  const { id } = headers;
  for (const name of ["id", "root_id"]) own[name] = own[name] === id ? known(id) : own[name];
  for (const name of ["eta", "expires"]) {
    const text = own[name];
    if (typeof text !== "string" || text.startsWith("2030")) continue;
    own[name] = text.replaceAll(/\d/gu, "0").replace(/\.0+/u, "");
  }
  const { priority, delivery_mode, reply_to } = properties;
  const left = Number(properties["expiration"] ?? 0);
  const expiration = left > NEAR_MS ? "years" : properties["expiration"];
  return {
    headers: own,
    properties: {
      priority,
      delivery_mode,
      expiration,
      reply_to: reply_to === "my-reply-queue" ? reply_to : "oid",
    },
  };
}

function known(id: unknown): unknown {
  return id === "11111111-1111-4111-8111-111111111111" ? id : "new";
}

function read(message: WireMessage): unknown {
  const { args, kwargs, embed } = decodeTask(message, {
    accept: ["json", "msgpack", "yaml"],
    limits: DEFAULT_LIMITS,
  });
  return [args, kwargs, embed];
}

describe("what a call writes is what Celery's writes", () => {
  test.each(entries.filter((entry) => entry.name in CALLS))("$name: $how", async ({ name, decoded }) => {
    const call = CALLS[name];
    if (!call) throw new Error(name);
    const recorded = Object.values(decoded).flat();
    expect(recorded).toHaveLength(1);
    const { envelope, body } = recorded[0] as RecordedMessage;
    const { message, exchange, routingKey } = await sentBy(call);
    const ignored = OTHER_REPR.has(name) ? ["argsrepr"] : [];
    expect(comparable(message, ignored)).toEqual(comparable(envelope, ignored));
    expect(message.contentType).toBe(envelope["content-type"]);
    expect(message.contentEncoding).toBe(envelope["content-encoding"]);
    expect({ exchange, routing_key: routingKey }).toEqual(envelope.properties["delivery_info"]);
    // Compressed bodies are on file as bytes; those calls all have the same arguments.
    const expected = name.startsWith("compression") ? [[1, 1], {}, NO_EMBED] : body;
    expect(JSON.parse(JSON.stringify(read(message)))).toEqual(expected);
  });
});

test("a countdown is counted from now", async () => {
  const before = Date.now();
  const { message } = await sentBy(({ send }) => send({ countdown: 3600 }));
  const eta = Date.parse(message.headers["eta"] as string);
  expect(eta).toBeGreaterThanOrEqual(before + 3_600_000);
  expect(eta).toBeLessThanOrEqual(Date.now() + 3_600_000);
});

test("every entry is made here, or left out for a reason that is stated", () => {
  const reasons = Object.values(LEFT_OUT);
  const odd = entries.filter(({ name }) => {
    const left = reasons.filter((pattern) => pattern.test(name)).length;
    return left + (name in CALLS ? 1 : 0) !== 1;
  });
  expect(odd.map(({ name }) => name)).toEqual([]);
  expect(Object.keys(CALLS).length).toBeGreaterThan(35);
});

// Node itself has zstd from 22.15 on.
test.each(["bzip2", "lzma", ...("zstdCompressSync" in zlib ? [] : ["zstd"])])(
  "compression %s is refused at send with a reason",
  async (compression) => {
    const { app, transport } = testApp();
    const sent = app.sendTask("a", [], { compression });
    await expect(sent).rejects.toMatchObject({ code: "PET_CODEC_UNAVAILABLE" });
    expect(transport.sent).toHaveLength(0);
  },
);

test("pickle is refused at send", async () => {
  const { app } = testApp();
  await expect(app.sendTask("a", [], { serializer: "pickle" })).rejects.toMatchObject({
    code: "PET_CONTENT_DISALLOWED",
  });
});

test("task protocol 1 is refused with a reason", () => {
  expect(() => testApp({ taskProtocol: 1 })).toThrow(/protocol 1/u);
});
