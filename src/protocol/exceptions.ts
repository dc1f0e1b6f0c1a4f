/**
 * Exceptions as data, both ways. What is thrown here becomes a class that Python can raise; what a worker stored becomes a
 * `RemoteError`, of one of our subclasses by an exact table, never by making a class of a name that came in.
 */
import {
  AlreadyRegistered,
  BackendError,
  ChordError,
  DecodeError,
  EncodeError,
  Ignore,
  ImproperlyConfigured,
  MaxRetriesExceededError,
  NotRegistered,
  OperationalError,
  PetioleError,
  QueueNotFound,
  Reject,
  RemoteError,
  type RemoteErrorFields,
  Retry,
  SecurityError,
  SoftTimeLimitExceeded,
  TaskRevokedError,
  TimeLimitExceeded,
  TimeoutError,
  WorkerLostError,
} from "../errors.ts";
import { stringifyJson } from "./json.ts";
import { repr } from "./python-repr.ts";
import { formatTraceback } from "./traceback.ts";
import type { ExceptionInfo } from "./wire.ts";

type Identity = readonly [module: string, type: string];

/** Errors of JavaScript and ours -> Python's class. Exact: a subclass that is not listed is the user's own. */
const IDENTITIES: ReadonlyMap<unknown, Identity> = new Map<unknown, Identity>([
  [Error, ["builtins", "Exception"]],
  [TypeError, ["builtins", "TypeError"]],
  [RangeError, ["builtins", "ValueError"]],
  [SyntaxError, ["builtins", "ValueError"]],
  [URIError, ["builtins", "ValueError"]],
  [ReferenceError, ["builtins", "NameError"]],
  [EvalError, ["builtins", "Exception"]],
  [AggregateError, ["builtins", "Exception"]],
  [PetioleError, ["builtins", "Exception"]],
  [ImproperlyConfigured, ["celery.exceptions", "ImproperlyConfigured"]],
  [NotRegistered, ["celery.exceptions", "NotRegistered"]],
  [AlreadyRegistered, ["celery.exceptions", "AlreadyRegistered"]],
  [QueueNotFound, ["celery.exceptions", "QueueNotFound"]],
  [SecurityError, ["celery.exceptions", "SecurityError"]],
  [TimeoutError, ["celery.exceptions", "TimeoutError"]],
  [BackendError, ["celery.exceptions", "BackendError"]],
  [Retry, ["celery.exceptions", "Retry"]],
  [Ignore, ["celery.exceptions", "Ignore"]],
  [Reject, ["celery.exceptions", "Reject"]],
  [EncodeError, ["kombu.exceptions", "EncodeError"]],
  [DecodeError, ["kombu.exceptions", "DecodeError"]],
  [OperationalError, ["kombu.exceptions", "OperationalError"]],
]);

/** Python's class -> ours. */
const REMOTE_CLASSES: ReadonlyMap<string, new (fields: RemoteErrorFields) => RemoteError> = new Map([
  ["celery.exceptions.ChordError", ChordError],
  ["celery.exceptions.MaxRetriesExceededError", MaxRetriesExceededError],
  ["celery.exceptions.TaskRevokedError", TaskRevokedError],
  ["celery.exceptions.SoftTimeLimitExceeded", SoftTimeLimitExceeded],
  ["celery.exceptions.TimeLimitExceeded", TimeLimitExceeded],
  ["celery.exceptions.WorkerLostError", WorkerLostError],
  ["billiard.exceptions.SoftTimeLimitExceeded", SoftTimeLimitExceeded],
  ["billiard.exceptions.TimeLimitExceeded", TimeLimitExceeded],
  ["billiard.exceptions.WorkerLostError", WorkerLostError],
]);

const IDENTIFIER = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*$/;

/**
 * What was thrown, as the wire has it. An error with fields `type`, `module` and `args` keeps them (so does a
 * `RemoteError` thrown again); JavaScript's errors and ours become Python's; a user's class keeps its name.
 *
 * @param module - module that a user's class is stored under: the task's
 */
export function exceptionInfo(error: unknown, module: string): ExceptionInfo {
  try {
    const [where, type] = identityOf(error, module);
    const args = argsOf(error).map(sendable);
    return { type, module: where, args, traceback: formatTraceback(error, { type, module: where, args }) };
  } catch {
    // Getters and proxies run code of the task, which may throw again.
    return { type: "Exception", module: "builtins", args: ["an error that cannot be read"], traceback: null };
  }
}

function identityOf(error: unknown, module: string): Identity {
  if (typeof error !== "object" || error === null) return ["builtins", "Exception"];
  const own = ownIdentity(error);
  if (own !== null) return own;
  if (!(error instanceof Error)) return ["builtins", "Exception"];
  const known = IDENTITIES.get(error.constructor);
  const { name } = error;
  // `error.name = "…"` on a plain Error is how many libraries name theirs.
  const renamed = error.constructor === Error && name !== "Error";
  if (known !== undefined && !renamed) return known;
  const className: unknown = renamed ? name : error.constructor?.name;
  return typeof className === "string" && IDENTIFIER.test(className)
    ? [module, className]
    : ["builtins", "Exception"];
}

function ownIdentity(error: object): Identity | null {
  const { type, module, args } = error as Partial<RemoteErrorFields>;
  const complete =
    typeof type === "string" &&
    typeof module === "string" &&
    Array.isArray(args) &&
    IDENTIFIER.test(type) &&
    IDENTIFIER.test(module);
  return complete ? [module, type] : null;
}

function argsOf(error: unknown): readonly unknown[] {
  if (typeof error !== "object" || error === null) return error === undefined ? [] : [error];
  const { args } = error as { args?: unknown };
  if (Array.isArray(args) && ownIdentity(error) !== null) return args;
  if (error instanceof NotRegistered) return [error.task];
  if (error instanceof Reject) return [error.reason, error.requeue];
  if (error instanceof Error) {
    const message = error.message === "" && error instanceof AggregateError ? messages(error) : error.message;
    return message === "" ? [] : [message];
  }
  return [error];
}

/** What Node throws when every address of a host fails has no message of its own. */
function messages(error: AggregateError): string {
  return error.errors.map((inner) => (inner instanceof Error ? inner.message : repr(inner))).join("; ");
}

/** The value, or its repr where it cannot travel. */
function sendable(value: unknown): unknown {
  try {
    stringifyJson(value);
    return value === undefined ? null : value;
  } catch {
    return repr(value);
  }
}

/** The wire's form of an exception: what stands in `result` of a failure. */
export function encodeException(info: ExceptionInfo): {
  readonly exc_type: string;
  readonly exc_message: readonly unknown[];
  readonly exc_module: string;
} {
  return { exc_type: info.type, exc_message: info.args, exc_module: info.module };
}

/**
 * Reads what stands in `result` of a failure, in whatever way it was written. Never throws: what is no exception becomes
 * the argument of one.
 */
export function decodeException(result: unknown, traceback: string | null): ExceptionInfo {
  if (typeof result !== "object" || result === null || Array.isArray(result)) {
    return { type: "Exception", module: "builtins", args: result == null ? [] : [result], traceback };
  }
  const { exc_type: type, exc_message: message, exc_module: module } = result as Record<string, unknown>;
  if (typeof type !== "string" || type === "") {
    return { type: "Exception", module: "builtins", args: [result], traceback };
  }
  const args = Array.isArray(message) ? message : message == null ? [] : [message];
  return { type, module: typeof module === "string" ? module : "celery.exceptions", args, traceback };
}

/** The error to throw for a stored exception. */
export function errorFrom(info: ExceptionInfo): RemoteError {
  const Class = REMOTE_CLASSES.get(`${info.module}.${info.type}`) ?? RemoteError;
  return new Class(info);
}
