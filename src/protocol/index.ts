/**
 * Celery's wire format without any I/O: task messages, kombu's envelope, results, exceptions, JSON with kombu's types.
 * The entry `petiole/protocol`. `docs/protocol.md` describes the format.
 *
 * @packageDocumentation
 */
export {
  type Compression,
  compress,
  decompress,
  registerCompression,
} from "./compression.ts";
export { decodeEnvelope, type EnvelopeRoute, encodeEnvelope } from "./envelope.ts";
export { decodeException, encodeException, errorFrom, exceptionInfo } from "./exceptions.ts";
export { parseIso, toIso } from "./iso8601.ts";
export { parseJson, stringifyJson } from "./json.ts";
export { type DecodeOptions, decodeTask, encodeTask, type TaskFormat, taskIdOf } from "./message.ts";
export { decodeMeta, encodeMeta, type MetaOptions } from "./meta.ts";
export { DEFAULT_NODE_NAME, expandFileName, expandNodeName, nodeName, splitNodeName } from "./nodenames.ts";
export { MAX_REPR, type ReprOptions, repr, reprArgs, reprKwargs } from "./python-repr.ts";
export {
  groupTuple,
  type ResultNode,
  type ResultTuple,
  readResultTuple,
  resultTuple,
  writeResultTuple,
} from "./result-tuple.ts";
export {
  type DeserializeOptions,
  deserialize,
  registerSerializer,
  type Serialized,
  type Serializer,
  serialize,
} from "./serialization.ts";
export { readSignature, readSignatures } from "./signature-data.ts";
export { isException, isPropagated, isReady, states } from "./states.ts";
export { Decimal, PlainDate, PlainTime, Uuid } from "./values.ts";
export {
  DEFAULT_LIMITS,
  type DecodedTask,
  type ExceptionInfo,
  type Limits,
  type OutgoingTask,
  type ResultMeta,
  type SignatureData,
  type TaskEmbed,
  type WireMessage,
} from "./wire.ts";
