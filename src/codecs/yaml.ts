/**
 * YAML as PyYAML's `safe_dump` writes it: the core types and `!!binary`, no dates, no other tags, no merge keys. A scalar is a number
 * only in the forms that PyYAML writes: `1e3` and `0o17` are texts there, and stay texts here.
 */
import type * as yamlPackage from "yaml";
import { importPeer } from "../base/import-peer.ts";
import { DecodeError } from "../errors.ts";
import { registerSerializer, textOf } from "../protocol/serialization.ts";
import type { Limits } from "../protocol/wire.ts";
import { fromPlain } from "./plain.ts";
import { writeYaml } from "./yaml-write.ts";

type Yaml = typeof yamlPackage;

/** References to anchors that are followed: more is an attack of a few lines that stand for gigabytes. */
const MAX_ALIASES = 100;

const SCALARS: readonly yamlPackage.ScalarTag[] = [
  scalar("null", /^(?:~|null|Null|NULL)?$/, () => null),
  scalar("bool", /^(?:true|True|TRUE|false|False|FALSE)$/, (text) => text.toLowerCase() === "true"),
  scalar("int", /^[-+]?(?:0|[1-9][0-9]*)$/, integer),
  scalar("float", /^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?$/, Number),
  scalar("float", /^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/, special),
];

function scalar(name: string, test: RegExp, resolve: (text: string) => unknown): yamlPackage.ScalarTag {
  return { default: true, tag: `tag:yaml.org,2002:${name}`, test, resolve };
}

function integer(text: string): bigint {
  if (text.length > 4300) throw new DecodeError("an integer has more than 4300 digits");
  return text.startsWith("+") ? BigInt(text.slice(1)) : BigInt(text);
}

function special(text: string): number {
  if (text.toLowerCase() === ".nan") return Number.NaN;
  return text.startsWith("-") ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
}

/** Registers the serializer `yaml`. */
export async function loadYaml(): Promise<void> {
  const yaml = await importPeer<Yaml>("yaml", "the serializer yaml", () => import("yaml"));
  registerSerializer({
    name: "yaml",
    contentType: "application/x-yaml",
    contentEncoding: "utf-8",
    encode: writeYaml,
    decode: (body, limits) => decode(yaml, textOf(body), limits),
  });
}

function decode(yaml: Yaml, text: string, limits: Limits): unknown {
  let value: unknown;
  try {
    const document = yaml.parseDocument(text, {
      schema: "failsafe",
      customTags: (tags) => [...tags, ...SCALARS],
      uniqueKeys: false,
      merge: false,
      logLevel: "error",
      stringKeys: true,
    });
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) throw problem;
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    if (error instanceof DecodeError) throw error;
    throw new DecodeError(`not YAML for us: ${firstLine(error)}`, { cause: error });
  }
  return fromPlain(value, "yaml", limits);
}

function firstLine(error: unknown): string {
  return ((error as Error).message.split("\n")[0] ?? "").slice(0, 200);
}
