/** Stored exceptions as errors one can throw. No class is ever looked up by a name from the wire but in this table. */
import {
  ChordError,
  MaxRetriesExceededError,
  RemoteError,
  type RemoteErrorFields,
  SoftTimeLimitExceeded,
  TaskRevokedError,
  TimeLimitExceeded,
  WorkerLostError,
} from "../errors.ts";
import type { ResultMeta } from "../protocol/wire.ts";

const CLASSES: ReadonlyMap<string, new (fields: RemoteErrorFields) => RemoteError> = new Map([
  ["ChordError", ChordError],
  ["MaxRetriesExceededError", MaxRetriesExceededError],
  ["SoftTimeLimitExceeded", SoftTimeLimitExceeded],
  ["TimeLimitExceeded", TimeLimitExceeded],
  ["WorkerLostError", WorkerLostError],
  ["TaskRevokedError", TaskRevokedError],
]);
/** Modules whose classes those are. */
const MODULES: ReadonlySet<string> = new Set(["celery.exceptions", "billiard.exceptions"]);

function fieldsOf(meta: ResultMeta): RemoteErrorFields {
  const stored = meta.result;
  const record =
    typeof stored === "object" && stored !== null ? (stored as Readonly<Record<string, unknown>>) : {};
  const message = record["exc_message"] ?? (typeof stored === "string" ? stored : []);
  return {
    type: typeof record["exc_type"] === "string" ? record["exc_type"] : "Exception",
    module: typeof record["exc_module"] === "string" ? record["exc_module"] : "builtins",
    args: Array.isArray(message) ? message : [message],
    traceback: meta.traceback,
  };
}

/** The error of a FAILURE, REVOKED or RETRY. */
export function errorOf(meta: ResultMeta): RemoteError {
  const fields = fieldsOf(meta);
  if (meta.status === "REVOKED") return new TaskRevokedError(fields);
  const known = MODULES.has(fields.module) ? CLASSES.get(fields.type) : undefined;
  return new (known ?? RemoteError)(fields);
}
