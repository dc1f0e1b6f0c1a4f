/**
 * The registry of serializers: names, content types, and who reads and writes them. json is built in; msgpack and yaml
 * come with `codecs/`; pickle is refused. Python: `kombu.serialization`.
 */
import { Buffer, isUtf8 } from "node:buffer";
import { DecodeError, EncodeError, SecurityError } from "../errors.ts";
import { parseJson, stringifyJson } from "./json.ts";
import { DEFAULT_LIMITS, type Limits } from "./wire.ts";

/** One way to write values. */
export interface Serializer {
  /** As in the setting `taskSerializer`. */
  readonly name: string;
  readonly contentType: string;
  readonly contentEncoding: "utf-8" | "binary";
  /** @throws EncodeError with the path; `where` names the value */
  encode(value: unknown, where: string): string | Uint8Array;
  /** @throws DecodeError */
  decode(body: string | Uint8Array, limits: Limits): unknown;
}

/** What a serializer made. */
export interface Serialized {
  readonly body: string | Uint8Array;
  readonly contentType: string;
  readonly contentEncoding: string;
}

/** How to read a body. */
export interface DeserializeOptions {
  readonly contentType: string;
  readonly contentEncoding: string;
  /** Names or content types that are allowed: the setting `acceptContent`. */
  readonly accept: readonly string[];
  readonly limits?: Limits;
}

const json: Serializer = {
  name: "json",
  contentType: "application/json",
  contentEncoding: "utf-8",
  encode: stringifyJson,
  decode: (body, limits) => parseJson(textOf(body), limits),
};

/** By name and by content type. */
const serializers = new Map<string, Serializer>([
  [json.name, json],
  [json.contentType, json],
]);

/** Serializers that come with `codecs/`: content type -> name. */
const OPTIONAL: ReadonlyMap<string, string> = new Map([
  ["application/x-msgpack", "msgpack"],
  ["application/x-yaml", "yaml"],
]);

const NAMES: ReadonlyMap<string, string> = new Map([
  ["application/json", "json"],
  ...OPTIONAL,
  ["application/x-python-serialize", "pickle"],
]);

/** Adds a serializer, or replaces the one of its name. */
export function registerSerializer(serializer: Serializer): void {
  serializers.set(serializer.name, serializer);
  serializers.set(serializer.contentType, serializer);
}

/** The content type of a serializer's name; a name that is not known stands for itself. */
export function contentTypeOf(name: string): string {
  const registered = serializers.get(name);
  if (registered !== undefined) return registered.contentType;
  for (const [contentType, known] of NAMES) if (known === name) return contentType;
  return name;
}

/** Text of a body that must be UTF-8. */
export function textOf(body: string | Uint8Array): string {
  if (typeof body === "string") return body;
  if (!isUtf8(body)) throw new DecodeError("the body is not UTF-8 text");
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
}

/**
 * Writes a value.
 *
 * @param name - `json`, `msgpack`, `yaml`, or one that was registered
 * @throws EncodeError: the value cannot travel; `PET_CODEC_UNAVAILABLE`: no such serializer here, `codec` says which to load
 */
export function serialize(value: unknown, name: string, where = "the value"): Serialized {
  const serializer = writerOf(name);
  const { contentType, contentEncoding } = serializer;
  return { body: serializer.encode(value, where), contentType, contentEncoding };
}

/** The serializer of a name, for writing. @throws EncodeError, SecurityError for pickle */
export function writerOf(name: string): Serializer {
  const serializer = serializers.get(name);
  if (serializer !== undefined) return serializer;
  const known = NAMES.get(name) ?? name;
  if (known === "pickle") throw pickleRefused();
  const optional = [...OPTIONAL.values()].includes(known);
  throw new EncodeError(
    optional
      ? `serializer ${known} is not loaded: await loadCodec("${known}") first`
      : `there is no serializer ${JSON.stringify(name)}: use json, msgpack or yaml, or register it`,
    { code: "PET_CODEC_UNAVAILABLE", codec: optional ? known : null },
  );
}

/**
 * Reads a body, if its content type is accepted.
 *
 * @throws SecurityError: not accepted, or pickle. DecodeError: the body is broken; `PET_CODEC_UNAVAILABLE`: accepted, but
 * its package is not loaded, `codec` says which
 */
export function deserialize(body: string | Uint8Array, options: DeserializeOptions): unknown {
  const { contentType } = options;
  const serializer = serializers.get(contentType);
  const name = serializer?.name ?? NAMES.get(contentType);
  if (!isAccepted(contentType, name, options.accept)) throw refused(contentType, name, options.accept);
  if (serializer === undefined) throw unavailable(contentType, name);
  return serializer.decode(body, options.limits ?? DEFAULT_LIMITS);
}

function isAccepted(contentType: string, name: string | undefined, accept: readonly string[]): boolean {
  if (name === "pickle") return false;
  return (name !== undefined && accept.includes(name)) || accept.includes(contentType);
}

function refused(contentType: string, name: string | undefined, accept: readonly string[]): Error {
  if (name === "pickle") return pickleRefused();
  if (contentType === "")
    return new DecodeError("content-type is missing: the sender must say how the body is written");
  const shown = JSON.stringify(contentType.slice(0, 64));
  return new SecurityError(
    `content type ${shown} is not accepted here (acceptContent: ${accept.join(", ")}): add ${name ?? "it"} to acceptContent, or send json`,
  );
}

function pickleRefused(): SecurityError {
  return new SecurityError(
    "pickle is never read or written, because reading it can run any code: set task_serializer and result_serializer of the sender to json",
  );
}

function unavailable(contentType: string, name: string | undefined): DecodeError {
  const optional = OPTIONAL.get(contentType) ?? null;
  return new DecodeError(
    optional === null
      ? `content type ${JSON.stringify(contentType.slice(0, 64))} cannot be read: no serializer ${JSON.stringify(name ?? contentType)} is registered`
      : `content type ${contentType} cannot be read yet: await loadCodec("${optional}") first`,
    { code: "PET_CODEC_UNAVAILABLE", codec: optional },
  );
}
