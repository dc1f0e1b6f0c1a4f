/**
 * Every error of Petiole, with its stable code. `docs/errors.md` lists the same codes; a test compares both ways.
 * Codes never change their meaning; a new situation gets a new code.
 */

/** Code -> what it means. `docs/errors.md` and `petiole explain` have it, with the remedy of `cli/remedies.ts`. */
export const ERROR_CODES = {
  PET_CONFIG_INVALID:
    "A setting has a wrong value, or settings contradict each other. The message names the setting and what it accepts.",
  PET_CONFIG_UNKNOWN: "A setting name does not exist. The message suggests the nearest one.",
  PET_CONFIG_IN_USE:
    "A setting was assigned after the app was first used. Set it before the first send, or in the constructor.",
  PET_URL_INVALID:
    "A broker or backend URL cannot be read, or its scheme is not served. The message shows the URL without its password.",
  PET_PEER_MISSING: "An optional package is needed and not installed. The message has the npm command.",
  PET_APP_NOT_FOUND:
    "The module given with -A holds no Celery app, or more than one. The message lists what it exports.",
  PET_MODULE_FAILED: "A task module could not be loaded. The message names the module and the reason.",
  PET_STEP_FAILED:
    "A step that was added with app.steps failed to start, and the worker with it. The message names the step and its error.",
  PET_TASK_NOT_REGISTERED: "No task of this name is known here. Import its module, or check the spelling.",
  PET_TASK_ALREADY_REGISTERED: "Two tasks have the same name. Rename one of them.",
  PET_TASK_INVALID: "A task was defined wrongly (name, options, function).",
  PET_QUEUE_NOT_FOUND: "A queue is not in taskQueues, and taskCreateMissingQueues is off.",
  PET_ENCODE:
    "Arguments or a result hold something that cannot travel. The message has its path and what to send instead.",
  PET_ARGUMENTS: "Arguments do not fit the task's parameters or its input schema.",
  PET_MESSAGE_INVALID:
    "A message is not a task message: something is missing or has a wrong type. It was put on the dead list.",
  PET_MESSAGE_TOO_LARGE: "A message, its decompressed body or its nesting is beyond the limits.",
  PET_CONTENT_DISALLOWED:
    "A message has a content type that acceptContent does not allow. pickle is never accepted.",
  PET_CODEC_UNAVAILABLE:
    "A serializer or compression is not available here, or only for reading. The message says which to use.",
  PET_BROKER_UNREACHABLE:
    "The broker could not be reached, or stopped answering. `outcome` says whether the message may have been sent.",
  PET_BROKER_REFUSED:
    "The server answers, but refuses to serve: version, permissions, key of a wrong type. The message says what to change.",
  PET_BACKEND: "The result backend could not be reached or refused the operation.",
  PET_DATABASE_UNREACHABLE:
    "A SQL database could not be reached, or stopped answering. `outcome` says whether what was asked may have been done.",
  PET_DATABASE_REFUSED:
    "A SQL database answers, but refuses: password, permissions, version, a value. The message says what to change.",
  PET_SCHEMA:
    "The tables of a SQL database are not those that this version needs. The message names what is missing.",
  PET_BACKEND_DISABLED: "A result was asked for, and the app has no result backend. Set resultBackend.",
  PET_RESULT_INCOMPLETE:
    "A graph of results was asked for while a task of it was not over, so that its children are not known.",
  PET_RESULT_IGNORED: "A result was asked for of a task that stores none (ignoreResult).",
  PET_TIMEOUT: "The result was not ready within the timeout. The task goes on.",
  PET_CLOSED: "The app, connection or worker was closed.",
  PET_REMOTE:
    "The task raised an error in its worker. `type`, `module`, `args` and `remoteTraceback` say which.",
  PET_RETRY: "Control flow: the task asked to be run again.",
  PET_REPLACED: "Control flow: the task asked that another finish in its place. Only a worker can send that.",
  PET_IGNORE: "Control flow: the task asked that nothing be stored.",
  PET_REJECT: "Control flow: the task refused its message.",
  PET_TRANSACTION:
    "The database rolled a transaction back that was to be committed. Nothing that waited for its commit was sent.",
  PET_UNSUPPORTED: "A feature that this version does not have. The message names it.",
  PET_DAEMON:
    "The process could not be set up as asked: pid file, log file, user, group, file mode mask, health port, start in the background. The message says what and why.",
  PET_RUNNING:
    "A pid file names a process that runs. The message has its id. Stop it, or choose another file.",
  PET_FENCED:
    "A scheduler tried to send a run after another had taken its place. Nothing was sent; the one that leads sends it.",
  PET_SCHEDULE:
    "An entry of the schedule is not there, is there already, or cannot be changed. The message names it.",
  PET_USAGE: "A command line that cannot be understood. The message shows the right form.",
  PET_NO_REPLY: "Nothing answered within the time given.",
  PET_UNEXPECTED:
    "The program ended by an error that is not Petiole's: of your own modules, or a defect. It is printed with its stack.",
} as const;

/** The stable identity of an error. */
export type PetioleErrorCode = keyof typeof ERROR_CODES;

/** Every error of Petiole; `code` is stable (`PET_…`). */
export class PetioleError extends Error {
  readonly code: PetioleErrorCode;
  constructor(code: PetioleErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A setting or an option is wrong. Python: `celery.exceptions.ImproperlyConfigured`. */
export class ImproperlyConfigured extends PetioleError {
  constructor(message: string, options?: ErrorOptions & { readonly code?: PetioleErrorCode }) {
    super(options?.code ?? "PET_CONFIG_INVALID", message, options);
  }
}

/** What is known of a publish that failed: nothing reached the broker, or it may have. */
export type PublishOutcome = "not sent" | "unknown";

/** The broker cannot be reached or refuses. Python: `kombu.exceptions.OperationalError`. */
export class OperationalError extends PetioleError {
  /** For a publish: whether the message may be in the broker. `null` for other operations. */
  readonly outcome: PublishOutcome | null;
  constructor(
    message: string,
    options?: ErrorOptions & { readonly code?: PetioleErrorCode; readonly outcome?: PublishOutcome },
  ) {
    super(options?.code ?? "PET_BROKER_UNREACHABLE", message, options);
    this.outcome = options?.outcome ?? null;
  }
}

/** The result was not ready in time; the task goes on. Python: `celery.exceptions.TimeoutError`. */
export class TimeoutError extends PetioleError {
  constructor(message: string, options?: ErrorOptions) {
    super("PET_TIMEOUT", message, options);
  }
}

/** No task of this name. Python: `celery.exceptions.NotRegistered`. */
export class NotRegistered extends PetioleError {
  /** The name that was asked for. */
  readonly task: string;
  constructor(
    task: string,
    message = `task ${JSON.stringify(task)} is not registered here: import its module, or check the name`,
  ) {
    super("PET_TASK_NOT_REGISTERED", message);
    this.task = task;
  }
}

/** Two tasks of one name. Python: `celery.exceptions.AlreadyRegistered`. */
export class AlreadyRegistered extends PetioleError {
  constructor(task: string) {
    super(
      "PET_TASK_ALREADY_REGISTERED",
      `a task named ${JSON.stringify(task)} is registered already: rename one of the two`,
    );
  }
}

/** A queue that is not declared. Python: `celery.exceptions.QueueNotFound`. */
export class QueueNotFound extends PetioleError {
  constructor(queue: string, known: readonly string[]) {
    super(
      "PET_QUEUE_NOT_FOUND",
      `queue ${JSON.stringify(queue)} is not in taskQueues (${known.join(", ") || "empty"}), and taskCreateMissingQueues is off`,
    );
  }
}

/** Content that is not allowed here. Python: `celery.exceptions.SecurityError`, `kombu.exceptions.ContentDisallowed`. */
export class SecurityError extends PetioleError {
  constructor(message: string, options?: ErrorOptions) {
    super("PET_CONTENT_DISALLOWED", message, options);
  }
}

/** Arguments or a result that cannot be encoded. Python: `kombu.exceptions.EncodeError`. */
export class EncodeError extends PetioleError {
  /** With `PET_CODEC_UNAVAILABLE`: the codec to load before trying again; null: there is none. */
  readonly codec: string | null;
  constructor(
    message: string,
    options?: ErrorOptions & { readonly code?: PetioleErrorCode; readonly codec?: string | null },
  ) {
    super(options?.code ?? "PET_ENCODE", message, options);
    this.codec = options?.codec ?? null;
  }
}

/** A message or a result that cannot be decoded. Python: `kombu.exceptions.DecodeError`. */
export class DecodeError extends PetioleError {
  /** The task's id where it could be read, so that a FAILURE can be stored under it. */
  readonly taskId: string | null;
  /** With `PET_CODEC_UNAVAILABLE`: the codec to load before trying again; null: there is none. */
  readonly codec: string | null;
  constructor(
    message: string,
    options?: ErrorOptions & {
      readonly code?: PetioleErrorCode;
      readonly taskId?: string | null;
      readonly codec?: string | null;
    },
  ) {
    super(options?.code ?? "PET_MESSAGE_INVALID", message, options);
    this.taskId = options?.taskId ?? null;
    this.codec = options?.codec ?? null;
  }
}

/** The result backend cannot be reached or refuses. Python: `celery.exceptions.BackendError`. */
export class BackendError extends PetioleError {
  constructor(message: string, options?: ErrorOptions & { readonly code?: PetioleErrorCode }) {
    super(options?.code ?? "PET_BACKEND", message, options);
  }
}

/** What a worker stored of an error, in whatever language it runs. */
export interface RemoteErrorFields {
  /** Class name: `ValueError`. Wire name `exc_type`. */
  readonly type: string;
  /** Module of the class: `builtins`. Wire name `exc_module`. */
  readonly module: string;
  /** The exception's arguments. Wire name `exc_message`. */
  readonly args: readonly unknown[];
  readonly traceback: string | null;
}

/** Text of an argument; it came from outside and may be what JSON has no form for. */
function shown(arg: unknown): string {
  if (typeof arg === "string") return arg;
  return (
    JSON.stringify(arg, (_key, value: unknown) => (typeof value === "bigint" ? `${value}` : value)) ??
    "undefined"
  );
}

/** An error raised in a worker, in whatever language. */
export class RemoteError extends PetioleError {
  /** Class name there: `ValueError`. */
  readonly type: string;
  /** Module there: `builtins`. */
  readonly module: string;
  readonly args: readonly unknown[];
  readonly remoteTraceback: string | null;
  constructor(fields: RemoteErrorFields, options?: ErrorOptions) {
    const text = fields.args.map(shown).join(", ");
    super("PET_REMOTE", text === "" ? fields.type : `${fields.type}: ${text}`, options);
    this.type = fields.type;
    this.module = fields.module;
    this.args = fields.args;
    this.remoteTraceback = fields.traceback;
  }
}

/** A member of a chord failed. */
export class ChordError extends RemoteError {}
/** No attempt is left. */
export class MaxRetriesExceededError extends RemoteError {}
/** The soft time limit was reached. */
export class SoftTimeLimitExceeded extends RemoteError {}
/** The hard time limit was reached; the task was stopped. */
export class TimeLimitExceeded extends RemoteError {}
/** The process that ran the task died. */
export class WorkerLostError extends RemoteError {}
/** The task was revoked, or expired before it ran. */
export class TaskRevokedError extends RemoteError {}

/** Why a running task's signal is aborted when its worker stops in a hurry. Python: `celery.exceptions.WorkerShutdown`. */
export class WorkerShutdown extends RemoteError {
  constructor() {
    super({
      type: "WorkerShutdown",
      module: "celery.exceptions",
      args: ["the worker was shut down"],
      traceback: null,
    });
  }
}

/** Thrown by `task.retry(…)`; the worker sends the next attempt when it catches it. Python: `celery.exceptions.Retry`. */
export class Retry extends PetioleError {
  /** What was asked for; read by the worker. */
  readonly request: unknown;
  constructor(message: string, request: unknown, options?: ErrorOptions) {
    super("PET_RETRY", message, options);
    this.request = request;
  }
}

/** Thrown by `task.replace(…)`; the worker sends the other signature when it catches it. */
export class Replaced extends PetioleError {
  /** The other one, in its JSON form; read by the worker. */
  readonly signature: unknown;
  constructor(message: string, signature: unknown) {
    super("PET_REPLACED", message);
    this.signature = signature;
  }
}

/** Throw it to end the task without a result. Python: `celery.exceptions.Ignore`. */
export class Ignore extends PetioleError {
  constructor(reason = "ignored by the task") {
    super("PET_IGNORE", reason);
  }
}

/** Throw it to refuse the message; needs `acksLate`. Python: `celery.exceptions.Reject`. */
export class Reject extends PetioleError {
  /** Back to the queue instead of dropping it. */
  readonly requeue: boolean;
  /** Why; stored nowhere, logged. */
  readonly reason: string | null;
  constructor(reason?: string, options?: { readonly requeue?: boolean | undefined }) {
    super("PET_REJECT", reason ?? "rejected by the task");
    this.reason = reason ?? null;
    this.requeue = options?.requeue ?? false;
  }
}
