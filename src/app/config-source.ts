/**
 * Reading settings from objects. Python: `detect_settings` of `celery/app/utils.py`.
 *
 * Without a namespace: `taskSerializer`, `task_serializer`, or the old upper-case names; new and old are not mixed (the
 * majority wins, each of the others must also be there under its other name). With a namespace: `CELERY_TASK_SERIALIZER`, and
 * old names where the new one is absent. An unknown name is an error, except upper-case constants that are none of Celery's:
 * with a namespace those without its prefix, else those that begin neither with CELERY nor with BROKER_.
 */
import { nearest } from "../base/nearest.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { checkedValue, unknownSetting } from "./config-value.ts";
import type { IgnoredSetting } from "./settings/ignored.ts";
import { namespaced, namespacePrefix } from "./settings/names.ts";
import {
  type Found,
  findOldSetting,
  findSetting,
  oldSettingNames,
  SETTINGS,
  type SettingName,
  settingNames,
} from "./settings.ts";

/** Settings of one source, checked. */
export interface SettingsSource {
  readonly values: ReadonlyMap<SettingName, unknown>;
  /** Given and without meaning here. */
  readonly ignored: readonly IgnoredSetting[];
}

/** Keys of modules that are no settings. */
const MODULE_KEYS: ReadonlySet<string> = new Set(["default", "__esModule"]);
const CELERY_LIKE = /^(CELERY|BROKER_)/;

interface Named {
  readonly spelled: string;
  readonly found: Found;
  readonly value: unknown;
}

/** Settings given in code: any spelling, mixed at will. The new name wins over an old one. */
export function readSettings(source: Readonly<Record<string, unknown>>): SettingsSource {
  const named: Named[] = [];
  for (const [spelled, value] of Object.entries(source)) {
    if (value === undefined) continue;
    const found = findSetting(spelled) ?? findOldSetting(spelled);
    if (!found) throw unknownSetting(spelled, nearest(spelled, candidatesFor(spelled)));
    named.push({ spelled, found, value });
  }
  return collect(named);
}

/** A configuration object or module. */
export function readObject(source: object, namespace: string | null): SettingsSource {
  const named: Named[] = [];
  for (const [spelled, value] of Object.entries(source)) {
    if (value === undefined || spelled.startsWith("_") || MODULE_KEYS.has(spelled)) continue;
    const found = namespace === null ? plainName(spelled) : nameIn(namespace, spelled);
    if (found) named.push({ spelled, found, value });
  }
  if (namespace === null) refuseMix(named);
  const zone: unknown = Object.hasOwn(source, "TIME_ZONE")
    ? (source as { TIME_ZONE?: unknown }).TIME_ZONE
    : null;
  const timezone = findSetting("timezone");
  if (typeof zone === "string" && timezone) {
    // Django's own setting: weaker than any spelling of Celery's.
    named.unshift({ spelled: "TIME_ZONE", found: { ...timezone, old: true }, value: zone });
  }
  return collect(named);
}

/** null: somebody else's constant. */
function plainName(spelled: string): Found | null {
  const found = findSetting(spelled);
  if (found) return found;
  const old = findOldSetting(spelled);
  if (old?.kind === "setting") return old;
  if (/[a-z]/.test(spelled) || CELERY_LIKE.test(spelled)) {
    if (old) return old;
    throw unknownSetting(spelled, nearest(spelled, candidatesFor(spelled)));
  }
  return null;
}

function nameIn(namespace: string, spelled: string): Found | null {
  const prefix = namespacePrefix(namespace);
  if (spelled.startsWith(prefix)) {
    const found = findSetting(spelled.slice(prefix.length).toLowerCase()) ?? findOldSetting(spelled);
    if (found) return found;
    throw unknownSetting(spelled, nearestVariable(spelled, namespace));
  }
  const old = findOldSetting(spelled);
  return old?.kind === "setting" || CELERY_LIKE.test(spelled) ? old : null;
}

/** The setting that a name with a namespace may mean, with the namespace. The prefix itself makes no name similar. */
export function nearestVariable(spelled: string, namespace: string): string | null {
  const found = nearest(
    spelled.slice(namespacePrefix(namespace).length),
    SETTINGS.map((setting) => setting.python),
  );
  return found === null ? null : namespaced(found, namespace);
}

/** Names in the spelling of a name that was not found. */
function candidatesFor(spelled: string): Iterable<string> {
  if (!/[a-z]/.test(spelled)) return oldSettingNames();
  return spelled.includes("_") ? SETTINGS.map((setting) => setting.python) : settingNames();
}

/** Celery's rule: one style, the one most names are in; a name of the other style only beside its twin. */
function refuseMix(named: readonly Named[]): void {
  const old = named.filter(({ found }) => found.old);
  const fresh = named.filter(({ found }) => !found.old);
  const [main, rest] = old.length > fresh.length ? [old, fresh] : [fresh, old];
  if (main.length === 0) return;
  const twins = new Set(main.map(({ found }) => found.setting));
  const left = rest.filter(({ found }) => !twins.has(found.setting));
  if (left.length === 0) return;
  const toOld = main === old;
  const renames = left.map(({ spelled, found }) => `${spelled} -> ${otherName(found, toOld)}`).sort();
  throw new ImproperlyConfigured(
    `settings of Celery before version 4 and of today are mixed; most are ${toOld ? "old" : "new"}, so rename ${renames.join(", ")} (or use new names for all)`,
  );
}

function otherName({ setting }: Found, toOld: boolean): string {
  if (toOld) return setting.old ?? `(${setting.python} has no old name)`;
  return setting.python;
}

function collect(named: readonly Named[]): SettingsSource {
  const values = new Map<SettingName, unknown>();
  const ignored = new Set<IgnoredSetting>();
  // Old names first, so that a new one overwrites its twin.
  for (const { spelled, found, value } of [...named].sort(
    (a, b) => Number(b.found.old) - Number(a.found.old),
  )) {
    if (found.kind === "ignored") ignored.add(found.setting);
    else values.set(found.setting.name, checkedValue(found.setting, value, spelled));
  }
  return { values, ignored: [...ignored] };
}
