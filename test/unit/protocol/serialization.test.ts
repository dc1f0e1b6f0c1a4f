import { describe, expect, test } from "vitest";
import { DecodeError, EncodeError, SecurityError } from "../../../src/errors.ts";
import {
  contentTypeOf,
  deserialize,
  registerSerializer,
  serialize,
} from "../../../src/protocol/serialization.ts";

const read = (contentType: string, accept: readonly string[], body: string | Uint8Array = "[1]"): unknown =>
  deserialize(body, { contentType, contentEncoding: "utf-8", accept });

describe("json", () => {
  test("is written and read, by name or content type", () => {
    expect(serialize([1], "json")).toEqual({
      body: "[1]",
      contentType: "application/json",
      contentEncoding: "utf-8",
    });
    expect(serialize([1], "application/json").body).toBe("[1]");
    expect(read("application/json", ["json"])).toEqual([1]);
    expect(read("application/json", ["application/json"])).toEqual([1]);
    expect(read("application/json", ["json"], Buffer.from('"hå"'))).toBe("hå");
    expect(read("application/json", ["json"], new Uint8Array([0x5b, 0x5d]))).toEqual([]);
    expect(() => read("application/json", ["json"], new Uint8Array([0xff]))).toThrow(
      "the body is not UTF-8 text",
    );
    expect(() => serialize(new Map(), "json", "the event")).toThrow(/^the event is a Map/);
  });
});

describe("what is not accepted", () => {
  test.each<[string, readonly string[], string]>([
    [
      "application/json",
      ["yaml"],
      'content type "application/json" is not accepted here (acceptContent: yaml): add json to acceptContent, or send json',
    ],
    [
      "application/x-yaml",
      ["json"],
      'content type "application/x-yaml" is not accepted here (acceptContent: json): add yaml to acceptContent, or send json',
    ],
    [
      "text/evil",
      [],
      'content type "text/evil" is not accepted here (acceptContent: ): add it to acceptContent, or send json',
    ],
  ])("%s with %j", (contentType, accept, message) => {
    expect(() => read(contentType, accept)).toThrow(new SecurityError(message));
  });

  test("pickle is refused whatever is accepted, and never written", () => {
    for (const accept of [["json"], ["pickle", "application/x-python-serialize"]]) {
      expect(() => read("application/x-python-serialize", accept)).toThrow(SecurityError);
      expect(() => read("application/x-python-serialize", accept)).toThrow(/can run any code/);
    }
    for (const name of ["pickle", "application/x-python-serialize"])
      expect(() => serialize(1, name)).toThrow(SecurityError);
  });

  test("no content type at all is a broken message", () => {
    expect(() => read("", ["json"])).toThrow(DecodeError);
    expect(() => read("", ["json"])).toThrow("content-type is missing");
  });
});

describe("what is accepted, but not here", () => {
  test("says which codec to load", () => {
    for (const [contentType, codec] of [
      ["application/x-msgpack", "msgpack"],
      ["application/x-yaml", "yaml"],
    ] as const) {
      const unavailable = expect.objectContaining({ code: "PET_CODEC_UNAVAILABLE", codec }) as Error;
      expect(() => read(contentType, [codec])).toThrow(unavailable);
      expect(() => serialize(1, codec)).toThrow(unavailable);
      expect(() => serialize(1, codec)).toThrow(
        `serializer ${codec} is not loaded: await loadCodec("${codec}") first`,
      );
    }
  });

  test("or that there is none", () => {
    expect(() => serialize(1, "xml")).toThrow(EncodeError);
    expect(() => serialize(1, "xml")).toThrow('there is no serializer "xml"');
    expect(() => read("text/xml", ["text/xml"])).toThrow(
      expect.objectContaining({ code: "PET_CODEC_UNAVAILABLE", codec: null }) as Error,
    );
  });
});

test("a serializer of the user's own is found by name and by content type", () => {
  registerSerializer({
    name: "lines",
    contentType: "text/x-lines",
    contentEncoding: "utf-8",
    encode: (value) => (value as string[]).join("\n"),
    decode: (body) => String(body).split("\n"),
  });
  expect(serialize(["a", "b"], "lines")).toEqual({
    body: "a\nb",
    contentType: "text/x-lines",
    contentEncoding: "utf-8",
  });
  expect(read("text/x-lines", ["lines"], "a\nb")).toEqual(["a", "b"]);
  expect(read("text/x-lines", ["text/x-lines"], "a")).toEqual(["a"]);
  expect(() => read("text/x-lines", ["json"])).toThrow(/add lines to acceptContent/);
});

test("a content type is known for every name", () => {
  expect(["json", "msgpack", "yaml", "pickle", "lines", "other"].map(contentTypeOf)).toEqual([
    "application/json",
    "application/x-msgpack",
    "application/x-yaml",
    "application/x-python-serialize",
    "text/x-lines",
    "other",
  ]);
});
