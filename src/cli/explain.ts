/** An error as one paragraph: what happened, where, what to do next, the code; and the exit code that goes with it. */
import { PetioleError, type PetioleErrorCode } from "../errors.ts";
import type { ExitCode } from "./io.ts";

/** The command line itself is wrong: sysexits' EX_USAGE. */
const USAGE: ReadonlySet<PetioleErrorCode> = new Set(["PET_USAGE", "PET_APP_NOT_FOUND"]);
/** Something does not answer: EX_UNAVAILABLE. */
const UNAVAILABLE: ReadonlySet<PetioleErrorCode> = new Set([
  "PET_BROKER_UNREACHABLE",
  "PET_BACKEND",
  "PET_NO_REPLY",
  "PET_TIMEOUT",
]);

/** What to do next, where the message does not say it already. */
const NEXT: Partial<Record<PetioleErrorCode, string>> = {
  PET_BROKER_UNREACHABLE:
    "Check that the server runs and that the URL is right: it is that of -b, CELERY_BROKER_URL or the app's brokerUrl.",
  PET_BACKEND:
    "Check that the server runs and that the URL is right: it is that of --result-backend, CELERY_RESULT_BACKEND or the app's resultBackend.",
  PET_BACKEND_DISABLED: "Give one with --result-backend, CELERY_RESULT_BACKEND or the app's resultBackend.",
  PET_TIMEOUT: "The task goes on: ask again later, or wait longer with --timeout.",
  PET_MODULE_FAILED: "Run the module by itself (node, or npx tsx) to see the whole error.",
};

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

/** @param where - the command, for the start of the paragraph: `petiole worker` */
export function explain(error: unknown, where: string): Explained {
  if (!(error instanceof PetioleError)) return unexpected(error, where);
  const place = error.code === "PET_MODULE_FAILED" ? placeOf(error.cause) : "";
  const sentences = [sentence(`${error.message}${place}`), NEXT[error.code] ?? ""].filter(
    (part) => part !== "",
  );
  const { code } = error;
  const message = withoutPasswords(oneParagraph(sentences.join(" ")));
  const exitCode = USAGE.has(code) ? 64 : UNAVAILABLE.has(code) ? 69 : 1;
  return {
    text: `${where}: ${message} [${code}]`,
    json: { code, message, command: where, exitCode },
    exitCode,
  };
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
