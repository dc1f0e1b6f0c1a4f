/**
 * Whatever stands in the broker or the backend: decoding gives a value or a PetioleError, in time, and leaves no mark on
 * `Object.prototype`.
 */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { loadCodec } from "../../../src/codecs/index.ts";
import { PetioleError } from "../../../src/errors.ts";
import { decodeEnvelope } from "../../../src/protocol/envelope.ts";
import { decodeException, errorFrom, exceptionInfo } from "../../../src/protocol/exceptions.ts";
import { parseJson } from "../../../src/protocol/json.ts";
import { decodeTask } from "../../../src/protocol/message.ts";
import { decodeMeta } from "../../../src/protocol/meta.ts";
import { repr, reprArgs } from "../../../src/protocol/python-repr.ts";
import { readResultTuple } from "../../../src/protocol/result-tuple.ts";
import { DEFAULT_LIMITS, type DecodedTask } from "../../../src/protocol/wire.ts";
import { cpuMs } from "../../support/best-of.ts";
import { seed } from "../../support/seed.ts";
import { thrownBy } from "../../support/thrown-by.ts";
import { envelopesOf, metasOf, vectorEntries } from "../../support/vectors.ts";

const READ = { accept: ["json", "yaml", "msgpack"], limits: DEFAULT_LIMITS };
const CODECS = ["msgpack", "yaml", "bzip2", "lzma", "zstd"];
const envelopes = [...vectorEntries("messages"), ...vectorEntries("config_variants")].flatMap((entry) =>
  envelopesOf(entry),
);
const metas = vectorEntries("execution").flatMap((entry) => metasOf(entry).map(String));
const ownNames = (): string[] => Object.getOwnPropertyNames(Object.prototype);
const untouched = ownNames().join();

beforeAll(async () => {
  for (const codec of CODECS) await loadCodec(codec);
});

/** A value, or an error of ours, and nothing new on `Object.prototype`. Another error is thrown on: its stack says where. */
function isSafe(run: () => unknown): boolean {
  const error = thrownBy(run);
  if (error !== null && !(error instanceof PetioleError)) throw error;
  return ownNames().join() === untouched;
}

/** All that a worker or a client does with what arrives. */
function receive(raw: string): void {
  const message = decodeEnvelope(raw);
  use(decodeTask(message, READ));
}
function use(task: DecodedTask): void {
  reprArgs(task.args);
  const { id } = { ...task.kwargs } as { id?: unknown };
  errorFrom(decodeException(id, null));
}

const HOSTILE: readonly unknown[] = [
  null,
  0,
  -1,
  1.5,
  "",
  "x",
  true,
  [],
  {},
  [[]],
  "__proto__",
  "9".repeat(30),
  JSON.parse('{"__proto__":{"polluted":1}}'),
  { constructor: { prototype: { polluted: 1 } } },
  { __type__: "datetime", __value__: "x" },
  { __type__: "base64", __value__: "AAAA" },
  { toString: null, valueOf: 1 },
  Array.from({ length: 300 }).reduce<unknown>((inner) => [inner], 1),
];

interface Change {
  readonly path: number;
  readonly value: unknown;
  readonly remove: boolean;
}
const change: fc.Arbitrary<Change> = fc.record({
  path: fc.nat(),
  value: fc.oneof(fc.constantFrom(...HOSTILE), fc.jsonValue()),
  remove: fc.boolean(),
});

/** Every place in a tree, as its container and key. */
function places(tree: unknown): (readonly [container: Record<string, unknown>, key: string])[] {
  if (typeof tree !== "object" || tree === null) return [];
  const container = tree as Record<string, unknown>;
  return Object.keys(container).flatMap((key) => [[container, key] as const, ...places(container[key])]);
}

function changed(json: string, changes: readonly Change[]): string {
  const tree: unknown = JSON.parse(json);
  for (const { path, value: given, remove } of changes) {
    const value: unknown = JSON.parse(JSON.stringify(given));
    const all = places(tree);
    const [container, key] = all[path % all.length] ?? [{}, ""];
    if (remove) delete container[key];
    else
      Object.defineProperty(container, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return JSON.stringify(tree);
}

function spliced(text: string, at: number, insert: string): string {
  const position = at % (text.length + 1);
  return text.slice(0, position) + insert + text.slice(position + (at % 3));
}

describe("messages", () => {
  test("with fields changed, removed and made hostile", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...envelopes),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (raw, changes) => {
          expect(isSafe(() => receive(changed(raw, changes)))).toBe(true);
        },
      ),
      { seed, numRuns: 3000 },
    );
  });

  test("with their bodies changed likewise", () => {
    const plain = envelopes.filter(
      (raw) => raw.includes('"application/json"') && !raw.includes('"compression"'),
    );
    fc.assert(
      fc.property(
        fc.constantFrom(...plain),
        fc.array(change, { minLength: 1, maxLength: 3 }),
        (raw, changes) => {
          const message = decodeEnvelope(raw);
          const body = String(message.body);
          if (body.includes("NaN")) return;
          expect(isSafe(() => use(decodeTask({ ...message, body: changed(body, changes) }, READ)))).toBe(
            true,
          );
        },
      ),
      { seed, numRuns: 2000 },
    );
  });

  test("with text cut out and put in", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...envelopes),
        fc.nat(),
        fc.string({ unit: "binary", maxLength: 4 }),
        (raw, at, insert) => {
          expect(isSafe(() => receive(spliced(raw, at, insert)))).toBe(true);
        },
      ),
      { seed, numRuns: 3000 },
    );
  });

  test("with bodies of bytes under every content type and compression", () => {
    const types = [
      "application/json",
      "application/x-msgpack",
      "application/x-yaml",
      "application/x-python-serialize",
      "",
      "text/plain",
    ];
    const compressions = [
      undefined,
      "application/x-gzip",
      "application/x-bz2",
      "application/x-brotli",
      "application/x-lzma",
      "application/zstd",
      "x",
    ];
    const message = fc.record({
      body: fc.uint8Array({ maxLength: 100 }),
      contentType: fc.constantFrom(...types),
      contentEncoding: fc.constantFrom("utf-8", "binary"),
      headers: fc.record({
        task: fc.constant("t"),
        id: fc.constant("i"),
        compression: fc.constantFrom(...compressions),
      }),
      properties: fc.constant({}),
    });
    fc.assert(
      fc.property(message, (sent) => {
        expect(isSafe(() => use(decodeTask(sent, READ)))).toBe(true);
      }),
      { seed, numRuns: 2000 },
    );
  });
});

describe("results", () => {
  test("with fields changed, removed and made hostile", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...metas),
        fc.array(change, { minLength: 1, maxLength: 4 }),
        (raw, changes) => {
          const safe = isSafe(() => {
            const meta = decodeMeta(changed(raw, changes), READ);
            const error = errorFrom(decodeException(meta.result, meta.traceback));
            exceptionInfo(error, "m");
            for (const child of meta.children ?? []) readResultTuple(child);
          });
          expect(safe).toBe(true);
        },
      ),
      { seed, numRuns: 3000 },
    );
  });

  test("that are any text or bytes", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.uint8Array()), (raw) => {
        for (const serializer of ["json", "yaml", "msgpack", "pickle", "x"]) {
          expect(isSafe(() => decodeMeta(raw, { ...READ, serializer }))).toBe(true);
        }
      }),
      { seed, numRuns: 500 },
    );
  });
});

describe("values", () => {
  test("exceptionInfo and repr take whatever is thrown", () => {
    fc.assert(
      fc.property(
        fc.anything({
          withBigInt: true,
          withMap: true,
          withSet: true,
          withNullPrototype: true,
          withObjectString: true,
        }),
        (thrown) => {
          repr(thrown);
          const { type, module, args } = exceptionInfo(thrown, "m");
          expect([typeof type, typeof module, Array.isArray(args)]).toEqual(["string", "string", true]);
        },
      ),
      { seed, numRuns: 2000 },
    );
  });

  test("time grows with the size, not faster", () => {
    const patterns = [
      '{"a":'.repeat(500_000),
      "[".repeat(1_000_000),
      `"${"\\".repeat(1_000_000)}`,
      `"${'\\"'.repeat(500_000)}`,
      `[NaN,"${'\\"'.repeat(500_000)}`,
      `[${"1234567890123456,".repeat(60_000)}1]`,
      `[0.${"1234567890".repeat(100_000)}]`,
      `[${`0.${"1".repeat(40)},`.repeat(20_000)}NaN]`,
      `{${'"__type__":1,'.repeat(80_000)}"a":1}`,
      `${" ".repeat(1_000_000)}x`,
      `[${'"\\u0041",'.repeat(100_000)}1]`,
    ];
    const costMs = cpuMs(() => {
      for (const pattern of patterns) expect(isSafe(() => parseJson(pattern))).toBe(true);
    });
    expect(costMs).toBeLessThan(5000);
  });
});
