/**
 * Values there and back through kombu's own serializers: written here, read and written again by Python, read here. One
 * Python process does it for a few hundred random values.
 */
import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { loadCodec } from "../../src/codecs/index.ts";
import { parseIso, toIso } from "../../src/protocol/iso8601.ts";
import { decodeTask, encodeTask } from "../../src/protocol/message.ts";
import { deserialize, serialize } from "../../src/protocol/serialization.ts";
import { Decimal, PlainDate, Uuid } from "../../src/protocol/values.ts";
import { DEFAULT_LIMITS } from "../../src/protocol/wire.ts";
import { outgoingTask } from "../support/outgoing-task.ts";
import { python } from "../support/python.ts";
import { seed } from "../support/seed.ts";

const RELAY = `
import base64, json, sys
from datetime import datetime
from kombu import compression, serialization
serialization.enable_insecure_serializers(["yaml", "msgpack"])
answers = []
for name, body in json.load(sys.stdin):
    data = base64.b64decode(body)
    if name == "iso":
        answers.append(base64.b64encode(datetime.fromisoformat(data.decode()).isoformat().encode()).decode())
        continue
    if name.startswith("compress:"):
        back, _ = compression.compress(compression.decompress(data, name[9:]), name[9:])
        answers.append(base64.b64encode(back).decode())
        continue
    content_type, encoding, _ = serialization.dumps(None, serializer=name)
    value = serialization.loads(data, content_type, encoding)
    _, _, back = serialization.dumps(value, serializer=name)
    answers.append(base64.b64encode(back if isinstance(back, bytes) else back.encode()).decode())
json.dump(answers, sys.stdout)
`;

/** What Python makes of each body. */
function relay(requests: readonly (readonly [name: string, body: string | Uint8Array])[]): Buffer[] {
  const input = JSON.stringify(requests.map(([name, body]) => [name, Buffer.from(body).toString("base64")]));
  const run = spawnSync(python(), ["-c", RELAY], { input, encoding: "utf8", maxBuffer: 256 * 1024 * 1024 });
  if (run.status !== 0) throw new Error(run.stderr);
  return (JSON.parse(run.stdout) as string[]).map((text) => Buffer.from(text, "base64"));
}

const texts = fc.oneof(
  fc.string({ unit: "binary" }).map((text) => text.toWellFormed()),
  fc.constantFrom(
    "yes",
    "1e3",
    "0o17",
    "017",
    "1_000",
    "12:30",
    "2024-01-02",
    "~",
    "null",
    "=",
    "- a",
    "a: b",
    "#",
    "\u0085",
    "\ufeffx",
  ),
);
const floats = fc.double().filter((number) => !Object.is(number, -0));
const plain = [texts, floats, fc.maxSafeInteger(), fc.boolean(), fc.constant(null), fc.uint8Array()];
const dates = fc.date({
  min: new Date("0001-01-02T00:00:00Z"),
  max: new Date("9999-12-30T00:00:00Z"),
  noInvalidDate: true,
});
const LEAVES = {
  json: fc.oneof(
    ...plain,
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 90n }),
    dates,
    fc.uuid().map((text) => new Uuid(text)),
    fc.nat().map((n) => new Decimal(`${n}.50`)),
    dates.map((date) => new PlainDate(date.toISOString().slice(0, 10))),
  ),
  yaml: fc.oneof(...plain, fc.bigInt({ min: 2n ** 53n, max: 2n ** 90n })),
  msgpack: fc.oneof(...plain, fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n })),
};

function values(leaf: fc.Arbitrary<unknown>): readonly unknown[] {
  const { anything } = fc.letrec((tie) => ({
    anything: fc.oneof(
      { depthSize: "small" },
      leaf,
      fc.array(tie("anything")),
      fc.dictionary(
        texts.filter((key) => !key.startsWith("__")),
        tie("anything"),
      ),
    ),
  }));
  return fc.sample(anything, { seed, numRuns: 150 });
}

beforeAll(async () => {
  await loadCodec("yaml");
  await loadCodec("msgpack");
});

describe.each(["json", "yaml", "msgpack"] as const)("%s", (name) => {
  test("every value comes back from Python equal", () => {
    const sent = values(LEAVES[name]);
    const answers = relay(sent.map((value) => [name, serialize(value, name).body]));
    const { contentType, contentEncoding } = serialize(null, name);
    expect(answers).toHaveLength(sent.length);
    for (const [index, answer] of answers.entries()) {
      expect(deserialize(answer, { contentType, contentEncoding, accept: [name] })).toEqual(sent[index]);
    }
  });
});

test("dates are read by Python's fromisoformat and read back, in every zone", () => {
  const zones = [undefined, "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"];
  const sent = fc.sample(dates, { seed, numRuns: 100 }).map((date) => date.getTime());
  const answers = relay(sent.map((ms, index) => ["iso", toIso(ms, zones[index % 4])]));
  expect(answers.map((answer) => parseIso(answer.toString()))).toEqual(sent);
});

test("compressed bodies are read by kombu, and kombu's here", () => {
  const task = outgoingTask({ args: ["x".repeat(5000)] });
  const messages = ["gzip", "brotli"].map((compression) =>
    encodeTask(task, { serializer: "json", compression }),
  );
  const answers = relay(
    messages.map(({ headers, body }) => [`compress:${String(headers["compression"])}`, body]),
  );
  for (const [index, message] of messages.entries()) {
    const read = decodeTask(
      { ...message, body: answers[index] ?? "" },
      { accept: ["json"], limits: DEFAULT_LIMITS },
    );
    expect(read.args).toEqual(task.args);
  }
});
