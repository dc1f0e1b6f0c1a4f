/** The logger of an app that was given none: warnings and errors, a line each, on standard error. */
import type { Logger } from "./logger.ts";

/** Control characters would let a value forge lines. */
function shown(value: unknown): string {
  const text =
    value instanceof Error
      ? value.message
      : typeof value === "string"
        ? value
        : (JSON.stringify(value) ?? "");
  return JSON.stringify(text.length > 500 ? `${text.slice(0, 500)}…` : text);
}

function line(level: string, fields: object, message: string): void {
  const parts = Object.entries(fields).map(([name, value]) => ` ${name}=${shown(value)}`);
  process.stderr.write(`petiole ${level}: ${message}${parts.join("")}\n`);
}

function withFields(own: object): Logger {
  return {
    debug: () => {},
    info: () => {},
    warn: (fields, message) => line("warning", { ...own, ...fields }, message),
    error: (fields, message) => line("error", { ...own, ...fields }, message),
    child: (fields) => withFields({ ...own, ...fields }),
  };
}

/** Says nothing below a warning. */
export const stderrLogger: Logger = withFields({});
