/**
 * What an error of a database means for us. Each dialect has a table that gives a {@link Verdict}; nothing else looks at codes.
 *
 * | kind | what happened | again? | outcome |
 * |---|---|---|---|
 * | unreachable | no connection, or it broke; the server shuts down, starts, is a replica, is full | yes, after a pause | not sent, or unknown where the answer to a statement or a COMMIT was lost |
 * | busy | deadlock, serialization, a lock that was not given in time | yes | not sent |
 * | conflict | a value that must be unique is there already | no | not sent |
 * | missing | a table or column is not there | no, migrate first | not sent |
 * | refused | password, permission, version, a value, a mistake of ours | no | not sent |
 *
 * "Not sent" is said of what was asked for: nothing of it is in the database.
 */
import { PetioleError, type PetioleErrorCode, type PublishOutcome } from "../errors.ts";

export type SqlErrorKind = "unreachable" | "busy" | "conflict" | "missing" | "refused";

/** A dialect's opinion of an error of its driver. */
export interface Verdict {
  readonly kind: SqlErrorKind;
  /** Of a statement of its own, or of a COMMIT; within a transaction that was not committed nothing is stored. */
  readonly outcome: PublishOutcome;
  /** The connection is of no further use. */
  readonly broken: boolean;
  /** What to change. */
  readonly advice?: string;
}

const CODES: Readonly<Record<SqlErrorKind, PetioleErrorCode>> = {
  unreachable: "PET_DATABASE_UNREACHABLE",
  busy: "PET_DATABASE_UNREACHABLE",
  conflict: "PET_DATABASE_REFUSED",
  missing: "PET_SCHEMA",
  refused: "PET_DATABASE_REFUSED",
};

const WORDS: Readonly<Record<SqlErrorKind, string>> = {
  unreachable: "cannot be reached, or stopped answering",
  busy: "was busy",
  conflict: "has such a row already",
  missing: "lacks a table or a column",
  refused: "refused the operation",
};

const ADVICE: Partial<Record<SqlErrorKind, string>> = {
  missing:
    "make the tables with `petiole db migrate`, or where Django owns them with `python manage.py migrate`",
};

/** An error of a SQL database or of the way to it. */
export class SqlError extends PetioleError {
  readonly kind: SqlErrorKind;
  /** Whether what was asked for may have been done. */
  readonly outcome: PublishOutcome;
  /** The driver's: SQLSTATE, MySQL's name of the error, SQLite's number; null: it has none. */
  readonly sqlCode: string | null;

  /** @param database - its URL without password */
  constructor(database: string, verdict: Verdict, cause: unknown) {
    const { kind, advice = ADVICE[kind] } = verdict;
    super(
      CODES[kind],
      `the database ${database} ${WORDS[kind]}: ${reasonOf(cause)}${advice === undefined ? "" : ` (${advice})`}`,
      { cause },
    );
    this.kind = kind;
    this.outcome = verdict.outcome;
    this.sqlCode = codeOf(cause);
  }

  /** Trying again, in a while, is of use. */
  get retriable(): boolean {
    return this.kind === "unreachable" || this.kind === "busy";
  }
}

export function codeOf(error: unknown): string | null {
  const { code, errcode } = (error ?? {}) as { readonly code?: unknown; readonly errcode?: unknown };
  if (typeof errcode === "number") return String(errcode);
  return typeof code === "string" && code !== "" ? code : null;
}

/** Codes of Node for a way that is not there or broke; the first ones before anything was sent. */
const BEFORE = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOENT",
  "EACCES",
]);
const DURING = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT", "ECONNABORTED", "ERR_STREAM_DESTROYED"]);

export const NOT_TRUSTED: Verdict = {
  kind: "refused",
  outcome: "not sent",
  broken: true,
  advice: "the certificate of the server was not accepted: name its authority in the URL",
};

/** The verdict over an error of the socket; null: it is none. */
export function verdictOfSocket(error: unknown): Verdict | null {
  const code = codeOf(error);
  if (code === null) return null;
  if (BEFORE.has(code)) return { kind: "unreachable", outcome: "not sent", broken: true };
  if (DURING.has(code)) return { kind: "unreachable", outcome: "unknown", broken: true };
  if (/^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH)/.test(code)) {
    return NOT_TRUSTED;
  }
  return null;
}

function reasonOf(cause: unknown): string {
  // Node reports the attempts at several addresses of one name so, with an empty message.
  if (cause instanceof AggregateError && cause.message === "") {
    return cause.errors.map((one) => (one instanceof Error ? one.message : String(one))).join("; ");
  }
  return cause instanceof Error ? cause.message : String(cause);
}
