/**
 * Every setting, in one typed table: `docs/configuration.md`, the comments of `settings-types.ts`, the checks and the name
 * translation come from it. Python: `celery/app/defaults.py`.
 */

import { camelCase, snakeCase } from "../base/case.ts";
import { beat, redbeat } from "./settings/beat.ts";
import { broker } from "./settings/broker.ts";
import { control, event, general, security } from "./settings/general.ts";
import { IGNORED, type IgnoredSetting } from "./settings/ignored.ts";
import { namespaced } from "./settings/names.ts";
import { cache, database, redis, result } from "./settings/result.ts";
import type { Section, SettingRow } from "./settings/row.ts";
import { task } from "./settings/task.ts";
import { worker } from "./settings/worker.ts";
import type { Settings } from "./settings-types.ts";

/** All rows by camelCase name. That no setting is missing and none is unknown is checked by the compiler. */
export const TABLE: Section<string> = {
  ...general,
  ...broker,
  ...task,
  ...result,
  ...redis,
  ...cache,
  ...database,
  ...worker,
  ...beat,
  ...redbeat,
  ...event,
  ...control,
  ...security,
};

export type SettingName = keyof Settings;

/** A row with its names. */
export interface Setting extends Omit<SettingRow, "since"> {
  /** `taskSerializer`. */
  readonly name: SettingName;
  /** `task_serializer`. */
  readonly python: string;
  /** `CELERY_TASK_SERIALIZER`. */
  readonly env: string;
  readonly since: string;
}

/** The table in its order. */
export const SETTINGS: readonly Setting[] = Object.entries(TABLE).map(([name, row]) => ({
  since: "0.1.0",
  ...(row as SettingRow),
  // Shared by all apps.
  default: Object.freeze((row as SettingRow).default),
  name: name as SettingName,
  python: snakeCase(name),
  env: namespaced(name, "CELERY"),
}));

const byName: ReadonlyMap<string, Setting> = new Map(SETTINGS.map((setting) => [setting.name, setting]));
const byOldName: ReadonlyMap<string, Setting | IgnoredSetting> = new Map<string, Setting | IgnoredSetting>([
  ...SETTINGS.filter((setting) => setting.old !== null).map(
    (setting) => [setting.old ?? "", setting] as const,
  ),
  ...[...IGNORED.values()].map((setting) => [setting.old, setting] as const),
]);

/** What a name stands for. */
export type Found =
  | { readonly kind: "setting"; readonly setting: Setting; readonly old: boolean }
  | { readonly kind: "ignored"; readonly setting: IgnoredSetting; readonly old: boolean };

/** Finds a setting by `taskSerializer`, `task_serializer` or, with `old`, `CELERY_TASK_SERIALIZER`; null: no such name. */
export function findSetting(name: string): Found | null {
  const setting = byName.get(camelCase(name));
  if (setting) return { kind: "setting", setting, old: false };
  const ignored = IGNORED.get(snakeCase(name));
  if (ignored) return { kind: "ignored", setting: ignored, old: false };
  return null;
}

/** Finds a setting by its upper-case name of before version 4. */
export function findOldSetting(name: string): Found | null {
  const found = byOldName.get(name);
  if (!found) return null;
  return "env" in found
    ? { kind: "setting", setting: found, old: true }
    : { kind: "ignored", setting: found, old: true };
}

/** Every camelCase name. */
export function settingNames(): Iterable<SettingName> {
  return byName.keys() as Iterable<SettingName>;
}

/** Every old name. */
export function oldSettingNames(): Iterable<string> {
  return byOldName.keys();
}
