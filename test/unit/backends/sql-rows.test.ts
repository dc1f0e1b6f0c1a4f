import { expect, test } from "vitest";
import { columnId, type ReadRow, RowCodec, type TaskRow } from "../../../src/backends/sql/rows.ts";
import { DEFAULT_LIMITS, type DecodedTask, type ResultMeta } from "../../../src/protocol/wire.ts";

const codec = new RowCodec({ serializer: "json", accept: ["json"], limits: DEFAULT_LIMITS });

const META: ResultMeta = {
  taskId: "t",
  status: "SUCCESS",
  result: null,
  traceback: null,
  children: [],
  dateDone: "2026-01-02T03:04:05.678901+00:00",
  extra: {},
};

const TASK = {
  task: "shop.add",
  args: [1, 2],
  kwargs: {},
  argsrepr: "(1, 2)",
  kwargsrepr: null,
  headers: { periodic_task_name: "nightly", meta: { tenant: "acme", children: "not these" } },
} as unknown as DecodedTask;

const read = (row: TaskRow, changes: Partial<ReadRow> = {}): ReadRow => ({
  ...row,
  date_done: row.done ?? "2026-01-02 03:04:05",
  size: 10,
  ...changes,
});

test("ids that the column cannot hold are stored by their digest, each by its own", () => {
  expect(columnId("3e1c")).toBe("3e1c");
  const ids = ["a".repeat(255), "a".repeat(256), "a".repeat(257), "a\0", "a\0\0"].map(columnId);
  expect(new Set(ids).size).toBe(5);
  for (const id of ids) {
    expect(id.length).toBeLessThanOrEqual(255);
    expect(id).not.toContain("\0");
  }
});

test("the columns of result_extended are those of the message, cut to their length", () => {
  const extra = { name: "shop.add", worker: "w".repeat(120) };
  expect(codec.encode({ ...META, extra, task: TASK })).toMatchObject({
    task_name: "shop.add",
    task_args: '"(1, 2)"',
    task_kwargs: "{}",
    worker: "w".repeat(100),
    periodic_task_name: "nightly",
    meta: '{"tenant": "acme", "children": []}',
  });
  expect(codec.encode({ ...META, task: TASK })).toMatchObject({
    task_name: null,
    task_args: null,
    worker: null,
  });
});

test("a text that PostgreSQL cannot hold loses its NUL, and a state that is too long is refused", () => {
  expect(codec.encode({ ...META, traceback: "a\0b" }).traceback).toBe("a\\x00b");
  expect(() => codec.encode({ ...META, status: "S".repeat(51) })).toThrow("more than 50 characters");
});

test("what is read has the meta's own keys, the arguments as they can be read, and no date before the end", () => {
  const row = codec.encode({ ...META, status: "STARTED", dateDone: null });
  const changes = { meta: '{"children": null, "tenant": "acme"}', task_args: "(1,", task_kwargs: '"{}"' };
  expect(codec.decode(read(row, changes), "t")).toEqual({
    ...META,
    status: "STARTED",
    children: null,
    dateDone: null,
    extra: { tenant: "acme", args: "(1,", kwargs: "{}" },
  });
});

test("rows of pickle, of a strange meta and of too many bytes are refused by name", () => {
  const row = codec.encode(META);
  const pickle = { content_type: "application/x-python-serialize", content_encoding: "binary" };
  expect(() => codec.decode(read(row, pickle), "t")).toThrow("pickle is never read");
  expect(() => codec.decode(read(row, { meta: "[]" }), "t")).toThrow("its meta is not an object");
  expect(() => codec.decode(read(row, { size: 1e9 }), "t")).toThrow("at most 67108864 are read");
});

test("what a serializer gives in bytes is base64, as Django stores it", async () => {
  const { loadCodec } = await import("../../../src/codecs/index.ts");
  await loadCodec("msgpack");
  const binary = new RowCodec({ serializer: "msgpack", accept: ["msgpack"], limits: DEFAULT_LIMITS });
  const row = binary.encode({ ...META, result: [1, "é"] });
  expect(row).toMatchObject({
    content_type: "application/x-msgpack",
    content_encoding: "binary",
    result: "kgGiw6k=",
  });
  expect(binary.decode(read(row), "t")).toEqual({ ...META, result: [1, "é"] });
});
