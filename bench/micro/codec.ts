/**
 * Cost of the codec per task, without I/O: `npx tsx bench/micro/codec.ts`. One send is `encodeTask` + `encodeEnvelope`, one
 * receipt `decodeEnvelope` + `decodeTask`, one stored result `encodeMeta`. `JSON_OUT=1` prints mitata's JSON.
 */
import { bench, do_not_optimize, run } from "mitata";
import { decodeEnvelope, encodeEnvelope } from "../../src/protocol/envelope.ts";
import { toIso } from "../../src/protocol/iso8601.ts";
import { decodeTask, encodeTask } from "../../src/protocol/message.ts";
import { decodeMeta, encodeMeta } from "../../src/protocol/meta.ts";
import { DEFAULT_LIMITS, type OutgoingTask } from "../../src/protocol/wire.ts";
import { outgoingTask } from "../../test/support/outgoing-task.ts";

const id = "7f6c1b52-0c1a-4f0e-9d5f-3a1b2c3d4e5f";
const FORMAT = { serializer: "json", compression: null };
const ROUTE = { exchange: "", routingKey: "celery", priority: 0, deliveryTag: id };
const READ = { accept: ["json"], limits: DEFAULT_LIMITS };

function task(args: readonly unknown[], kwargs: Readonly<Record<string, unknown>>): OutgoingTask {
  const replyTo = "bbd3eb43-a387-3751-ba6e-46e26ec8caa6";
  return outgoingTask({ id, task: "bench.noop", args, kwargs, rootId: id, replyTo });
}

const rows = Array.from({ length: 40 }, (_, n) => ({
  id: n,
  name: `item ${n}`,
  price: n * 1.25,
  tags: ["a", "b"],
}));
const CALLS: readonly (readonly [string, OutgoingTask])[] = [
  ["two numbers", task([2, 3], {})],
  [
    "an order",
    task([1042], { customer: "Ada", when: new Date(1_795_223_151_855), lines: [{ sku: "x-1", n: 2 }] }),
  ],
  ["40 rows", task([rows], {})],
];

for (const [name, outgoing] of CALLS) {
  const raw = encodeEnvelope(encodeTask(outgoing, FORMAT), ROUTE);
  bench(`send: ${name} (${raw.length} B)`, () =>
    do_not_optimize(encodeEnvelope(encodeTask(outgoing, FORMAT), ROUTE)),
  );
  bench(`receive: ${name}`, () => do_not_optimize(decodeTask(decodeEnvelope(raw, DEFAULT_LIMITS), READ)));
  bench(`  of which JSON.parse: ${name}`, () => do_not_optimize(JSON.parse(raw)));
}

let now = 1_795_223_151_855;
for (const [name, result] of [
  ["a number", 5],
  ["null", null],
  ["40 rows", rows],
] as const) {
  bench(`store: ${name}`, () =>
    do_not_optimize(
      encodeMeta({
        taskId: id,
        status: "SUCCESS",
        result,
        traceback: null,
        children: [],
        dateDone: toIso((now += 0.02)),
        extra: {},
      }),
    ),
  );
}
const stored = encodeMeta({
  taskId: id,
  status: "SUCCESS",
  result: 5,
  traceback: null,
  children: [],
  dateDone: toIso(now),
  extra: {},
});
bench("read a result", () => do_not_optimize(decodeMeta(stored, READ)));

await run({ format: process.env["JSON_OUT"] ? "json" : "mitata" });
