/** What `--json` prints. */
import { stringifyJson } from "../protocol/json.ts";
import type { Io } from "./io.ts";

/** One value on one line. What JSON has no word for is written as kombu does. */
export function jsonLine(value: unknown): string {
  return `${stringifyJson(value, "the output")}\n`;
}

/** Whether JSON is asked for: errors are told so too, also where the words cannot be parsed. */
export function asksForJson(words: readonly string[], command: string | null, env: Io["env"]): boolean {
  const end = words.indexOf("--");
  const given = words.slice(0, end === -1 ? undefined : end);
  const variable = command === null ? undefined : env[`CELERY_${command.toUpperCase()}_JSON`];
  return given.includes("--json") || given.includes("-j") || /^(1|true|t|yes|y|on)$/i.test(variable ?? "");
}
