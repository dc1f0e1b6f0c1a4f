/** `petiole explain`: what an error code means, and what to do. The texts are those of docs/errors.md. */
import { didYouMean } from "../../base/nearest.ts";
import { ERROR_CODES, PetioleError, type PetioleErrorCode } from "../../errors.ts";
import { exitCodeOf } from "../explain.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { REMEDIES } from "../remedies.ts";
import { wrapped } from "../wrap.ts";

const CODES = Object.keys(ERROR_CODES) as PetioleErrorCode[];

export async function explainCodes({ args, options, io }: Invocation): Promise<ExitCode> {
  const codes = args.length === 0 ? CODES : codesIn(args);
  if (options["json"] === true) {
    io.out(
      jsonLine(
        codes.map((code) => ({
          code,
          meaning: ERROR_CODES[code],
          remedy: REMEDIES[code],
          exitCode: exitCodeOf(code),
        })),
      ),
    );
    return 0;
  }
  io.out(codes.map(paragraph).join("\n"));
  return 0;
}

function paragraph(code: PetioleErrorCode): string {
  return `${code} (exit code ${exitCodeOf(code)})\n${text(ERROR_CODES[code])}\n${text(`To do: ${REMEDIES[code]}`)}\n`;
}

function text(words: string): string {
  return wrapped(words, { width: 80, indent: 2 });
}

/** Codes by themselves, with or without `PET_`, or somewhere in a message. */
function codesIn(words: readonly string[]): readonly PetioleErrorCode[] {
  const whole = words.join(" ");
  const inside = [...whole.matchAll(/\bPET_[A-Z_]+/g)].map(([code]) => code);
  const named = inside.length > 0 ? inside : words;
  return [...new Set(named.map(codeOf))];
}

function codeOf(word: string): PetioleErrorCode {
  const bare = word
    .toUpperCase()
    .replaceAll(/[^A-Z]+/g, "_")
    .replaceAll(/^_|_$/g, "");
  const code = bare.startsWith("PET_") ? bare : `PET_${bare}`;
  const found = CODES.find((one) => one === code);
  if (found !== undefined) return found;
  throw new PetioleError(
    "PET_USAGE",
    `there is no error code ${JSON.stringify(word.slice(0, 80))}${didYouMean(code, CODES) || "; petiole explain lists all."}`,
  );
}
