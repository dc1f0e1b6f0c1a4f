/** An error as one paragraph: what happened, where, what to do next, the code; and the exit code that goes with it. */
import { PetioleError, type PetioleErrorCode } from "../errors.ts";
import type { ExitCode } from "./io.ts";
import { REMEDIES } from "./remedies.ts";

/** The command line itself is wrong: sysexits' EX_USAGE. */
const USAGE: ReadonlySet<PetioleErrorCode> = new Set(["PET_USAGE", "PET_APP_NOT_FOUND"]);
/** Something does not answer: EX_UNAVAILABLE. */
const UNAVAILABLE: ReadonlySet<PetioleErrorCode> = new Set([
  "PET_BROKER_UNREACHABLE",
  "PET_BACKEND",
  "PET_DATABASE_UNREACHABLE",
  "PET_NO_REPLY",
  "PET_TIMEOUT",
]);

/** The message does not say what to do next: the remedy stands behind it. */
const WITH_REMEDY: ReadonlySet<PetioleErrorCode> = new Set([
  "PET_BROKER_UNREACHABLE",
  "PET_BACKEND",
  "PET_DATABASE_UNREACHABLE",
  "PET_BACKEND_DISABLED",
  "PET_TIMEOUT",
  "PET_MODULE_FAILED",
  "PET_NO_REPLY",
]);

export interface Explained {
  /** The paragraph, with the command in front and the code behind. */
  readonly text: string;
  /** For `--json`. */
  readonly json: {
    readonly code: PetioleErrorCode;
    readonly message: string;
    readonly command: string;
    readonly exitCode: ExitCode;
  };
  readonly exitCode: ExitCode;
}

/** A module that is not there needs no look at its error. */
function hasRemedy({ code, cause }: PetioleError): boolean {
  return WITH_REMEDY.has(code) && (code !== "PET_MODULE_FAILED" || cause !== undefined);
}

/** @param where - the command, for the start of the paragraph: `petiole worker` */
export function explain(error: unknown, where: string): Explained {
  if (!(error instanceof PetioleError)) return unexpected(error, where);
  const place = error.code === "PET_MODULE_FAILED" ? placeOf(error.cause) : "";
  const sentences = [
    sentence(`${error.message}${place}`),
    hasRemedy(error) ? REMEDIES[error.code] : "",
  ].filter((part) => part !== "");
  const { code } = error;
  const message = withoutPasswords(oneParagraph(sentences.join(" ")));
  const exitCode = exitCodeOf(code);
  return {
    text: `${where}: ${message} [${code}]`,
    json: { code, message, command: where, exitCode },
    exitCode,
  };
}

export function exitCodeOf(code: PetioleErrorCode): ExitCode {
  if (USAGE.has(code)) return 64;
  if (UNAVAILABLE.has(code)) return 69;
  // EX_CANTCREAT, as Celery.
  return code === "PET_RUNNING" ? 73 : 1;
}

/** Not one of ours: of the user's code, or a defect. The stack is what helps. */
function unexpected(error: unknown, where: string): Explained {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const message = withoutPasswords(stack);
  return {
    text: `${where}: unexpected error: ${message} [PET_UNEXPECTED]`,
    json: { code: "PET_UNEXPECTED", message, command: where, exitCode: 1 },
    exitCode: 1,
  };
}

function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function oneParagraph(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}

/** The user's line that threw, from a stack: ` (at tasks.ts:3:7)`. */
function placeOf(cause: unknown): string {
  const frames = cause instanceof Error ? (cause.stack ?? "").split("\n").slice(1) : [];
  const frame = frames.find((line) => /file:\/\/|\(\/|at \//.test(line) && !/node:|node_modules/.test(line));
  const match = frame === undefined ? null : /((?:file:\/\/)?\/[^\s()]+:\d+:\d+)/.exec(frame);
  return match?.[1] === undefined ? "" : ` (at ${match[1].replace("file://", "")})`;
}

/** A URL that reached a message whole loses its password here at the latest. */
function withoutPasswords(text: string): string {
  return text.replaceAll(/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/]*:)[^\s@/]+@/gi, "$1***@");
}
