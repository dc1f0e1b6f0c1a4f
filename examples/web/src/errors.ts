/** Every error of this service is JSON, and names the field that is wrong: `{"error": "…", "field": "x"}`. */
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { BackendError, OperationalError } from "petiole";
import { DatabaseUnavailable } from "./db/database.ts";

export class RequestError extends Error {
  readonly statusCode: number;
  readonly field: string | null;

  constructor(statusCode: number, field: string | null, message: string) {
    super(message);
    this.statusCode = statusCode;
    this.field = field;
  }
}

/** Answered with 503. It is for whoever asks; its cause is for the log. */
export class Unavailable extends Error {}

export async function sendError(
  error: FastifyError | RequestError,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const status = error.statusCode ?? 500;
  const away = whatIsAway(error);
  if (away !== null) {
    request.log.error(error);
    await reply.code(503).header("retry-after", RETRY_SECONDS).send({ error: away, field: null });
    return;
  }
  if (status >= 500) {
    request.log.error(error);
    await reply.code(status).send({ error: "internal error", field: null });
    return;
  }
  const field = error instanceof RequestError ? error.field : fieldOf(error);
  await reply.code(status).send({ error: error.message, field });
}

const RETRY_SECONDS = 5;

/** Where it is and why it does not answer is for the log alone. */
function whatIsAway(error: Error): string | null {
  if (error instanceof Unavailable) return error.message;
  if (error instanceof DatabaseUnavailable) return "the database does not answer, try again";
  if (error instanceof BackendError) return "the result backend does not answer, try again";
  if (!(error instanceof OperationalError)) return null;
  return error.outcome === "unknown"
    ? "the broker does not answer: whether the task was sent is not known"
    : "the broker does not answer, try again";
}

/** What Fastify and its plugins refuse before a route is reached. */
const FIELDS: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "content-type",
  FST_REQ_FILE_TOO_LARGE: "file",
  FST_ERR_BAD_URL: "path",
};

/** The field that the first broken rule of a schema is about. */
function fieldOf(error: FastifyError): string | null {
  const [first] = error.validation ?? [];
  if (first === undefined) return FIELDS[error.code] ?? "body";
  const named = first.params["missingProperty"] ?? first.params["additionalProperty"];
  if (typeof named === "string") return named;
  return first.instancePath.slice(1).replaceAll("/", ".") || (error.validationContext ?? null);
}
