/** Checking one value of one setting, with an error that names the setting, the value and what is accepted. */

import { camelCase } from "../base/case.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { BadValue } from "./settings/values.ts";
import type { Setting } from "./settings.ts";

/** Stands for a value that must not be shown. Celery's mask. */
export const MASK = "********";
const MAX_SHOWN = 80;

/**
 * The value in its final form.
 *
 * @param spelled - the name as the user wrote it
 * @throws ImproperlyConfigured `PET_CONFIG_INVALID`
 */
export function checkedValue(setting: Setting, value: unknown, spelled: string): unknown {
  if (value === null) {
    if (setting.default === null || setting.nullable) return null;
  } else {
    try {
      const read = setting.type.read(value);
      if (read !== undefined) return read;
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      throw new ImproperlyConfigured(`${title(setting, spelled)} is wrong: ${error.message}`);
    }
  }
  const none = setting.default === null || setting.nullable ? ", or null" : "";
  throw new ImproperlyConfigured(
    `${title(setting, spelled)} cannot be ${setting.secret ? kindOf(value) : shown(value)}: it accepts ${setting.type.accepts}${none}`,
  );
}

function title(setting: Setting, spelled: string): string {
  return spelled === setting.name ? `setting ${spelled}` : `setting ${spelled} (${setting.name})`;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === "") return "an empty string";
  return Array.isArray(value) ? "such an array" : `a value of type ${typeof value}`;
}

function shown(value: unknown): string {
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = kindOf(value);
  }
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** Names of Celery's constructor, and what they are called as settings. */
const CONSTRUCTOR_NAMES: ReadonlyMap<string, string> = new Map([
  ["broker", "brokerUrl"],
  ["backend", "resultBackend"],
]);

/** The error of a name that is no setting. `near`: the one that may be meant, in the spelling that was used. */
export function unknownSetting(name: string, near: string | null): ImproperlyConfigured {
  const meant = CONSTRUCTOR_NAMES.get(camelCase(name)) ?? near;
  const hint = meant === null ? "" : `, did you mean ${JSON.stringify(meant)}?`;
  return new ImproperlyConfigured(`no setting is called ${JSON.stringify(name)}${hint}`, {
    code: "PET_CONFIG_UNKNOWN",
  });
}
