/**
 * The settings of one app. Strongest first:
 *
 * 1. the environment's four variables, and with `configFromEnv` its others;
 * 2. what code sets: the constructor, `app.conf.name = value`, `app.conf.update`; the last one wins;
 * 3. `configFromObject`; of several the last one wins, name by name;
 * 4. defaults.
 *
 * Open until `freeze`; then a plain frozen object takes over and every assignment throws `PET_CONFIG_IN_USE`.
 */
import { nearest } from "../base/nearest.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { brokerUrlFromParts, resultBackendOf } from "./config-parts.ts";
import { readObject, readSettings, type SettingsSource } from "./config-source.ts";
import { checkedValue, MASK, unknownSetting } from "./config-value.ts";
import {
  ALWAYS_FROM_ENV,
  alwaysFromEnv,
  type Environment,
  readEnvironment,
  type UnknownVariable,
} from "./env.ts";
import type { ResolvedSettings } from "./internals.ts";
import type { IgnoredSetting } from "./settings/ignored.ts";
import { isRecord } from "./settings/values.ts";
import { SETTINGS, type Setting, type SettingName } from "./settings.ts";
import type { Conf, Settings } from "./settings-types.ts";

/** Something to tell the user once, when the app starts: a constant message and its fields. */
export interface ConfigWarning {
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A `configFromObject` call: read, or a module still to be loaded. */
interface ObjectLayer {
  source: SettingsSource | null;
  readonly spec: string;
  readonly namespace: string | null;
}

export class Config {
  /** `app.conf`. */
  readonly conf: Conf;
  readonly #env: Environment;
  readonly #fromCode = new Map<SettingName, unknown>();
  readonly #fromEnv = new Map<SettingName, unknown>();
  readonly #objects: ObjectLayer[] = [];
  /** Ignored settings that were given, and variables that are no settings. Emptied by `takeWarnings`. */
  readonly #ignored = new Set<IgnoredSetting>();
  readonly #unknownVariables = new Map<string, UnknownVariable>();
  /** Warned of already. */
  readonly #told = new Set<string>();
  #frozen: ResolvedSettings | null = null;

  constructor(settings: Settings = {}, options: { readonly env?: Environment } = {}) {
    this.#env = options.env ?? process.env;
    this.conf = this.#createConf();
    this.update(settings);
  }

  /** Whether the settings are final. */
  get frozen(): boolean {
    return this.#frozen !== null;
  }

  /** Sets settings from code, in any spelling. All are checked before the first is set. */
  update(settings: Settings | Readonly<Record<string, unknown>>): void {
    if (!isRecord(settings)) throw new ImproperlyConfigured("settings must be given as an object");
    const [first] = Object.keys(settings);
    if (first !== undefined) this.#refuseWhenFrozen(first);
    const { values, ignored } = readSettings(settings);
    for (const [name, value] of values) this.#fromCode.set(name, value);
    for (const setting of ignored) this.#ignored.add(setting);
  }

  /** Celery's `config_from_object`. A string (`"module"`, `"module:export"`) is loaded by {@link load}. */
  fromObject(source: object | string, options: { readonly namespace?: string | undefined } = {}): void {
    this.#refuseWhenFrozen("configFromObject");
    const namespace = options.namespace || null;
    if (typeof source === "string") {
      this.#objects.push({ source: null, spec: source, namespace });
      return;
    }
    if ((typeof source !== "object" && typeof source !== "function") || source === null) {
      throw new ImproperlyConfigured('configFromObject takes an object, or a string "module:export"');
    }
    this.#addObject({ source: readObject(source, namespace), spec: "", namespace });
  }

  /** Whether `configFromObject` named modules that are not loaded yet. */
  get pending(): boolean {
    return this.#objects.some((layer) => layer.source === null);
  }

  /** Loads what `configFromObject` named by strings. */
  async load(loadObject: (spec: string) => Promise<object>): Promise<void> {
    for (const layer of this.#objects) {
      if (layer.source !== null) continue;
      const source = readObject(await loadObject(layer.spec), layer.namespace);
      layer.source ??= source;
      for (const setting of source.ignored) this.#ignored.add(setting);
    }
  }

  /** Reads a variable for every setting: `CELERY_TASK_SERIALIZER`. */
  fromEnv(options: { readonly namespace?: string | undefined } = {}): void {
    this.#refuseWhenFrozen("configFromEnv");
    const { values, ignored, unknown } = readEnvironment(this.#env, options.namespace || "CELERY");
    for (const [name, value] of values) this.#fromEnv.set(name, value);
    for (const setting of ignored) this.#ignored.add(setting);
    for (const variable of unknown) this.#unknownVariables.set(variable.name, variable);
  }

  /** All settings as they stand. */
  resolve(): ResolvedSettings {
    if (this.#frozen) return this.#frozen;
    return Object.freeze(
      Object.fromEntries(SETTINGS.map((setting) => [setting.name, this.#value(setting)])),
    ) as unknown as ResolvedSettings;
  }

  /** Makes the settings final. Idempotent. */
  freeze(): ResolvedSettings {
    if (this.#frozen) return this.#frozen;
    const waiting = this.#objects.find((layer) => layer.source === null);
    if (waiting) {
      throw new ImproperlyConfigured(`the settings module ${JSON.stringify(waiting.spec)} is not loaded yet`);
    }
    this.#frozen = this.resolve();
    return this.#frozen;
  }

  /** What the user should be told and was not told yet: at most one warning of each kind. */
  takeWarnings(): readonly ConfigWarning[] {
    const warnings: ConfigWarning[] = [];
    const idle = [
      ...[...this.#ignored].map(({ python, reason }) => ({ name: python, reason })),
      ...SETTINGS.filter((setting) => !setting.effective && this.#given(setting.name) !== undefined).map(
        ({ name, why }) => ({ name, reason: why ?? "not used by this version" }),
      ),
    ].filter(({ name }) => this.#tellOnce(name));
    if (idle.length > 0) {
      warnings.push({ message: "settings that have no effect here", fields: { settings: idle } });
    }
    const unknown = [...this.#unknownVariables.values()].filter(({ name }) => this.#tellOnce(name));
    if (unknown.length > 0) {
      warnings.push({
        message: "environment variables that are no settings",
        fields: { variables: unknown },
      });
    }
    return warnings;
  }

  #tellOnce(name: string): boolean {
    if (this.#told.has(name)) return false;
    this.#told.add(name);
    return true;
  }

  #addObject(layer: ObjectLayer & { source: SettingsSource }): void {
    this.#objects.push(layer);
    for (const setting of layer.source.ignored) this.#ignored.add(setting);
  }

  #refuseWhenFrozen(what: string): void {
    if (!this.#frozen) return;
    throw new ImproperlyConfigured(
      `${what} cannot be set any more: the app is in use. Set it before the first send, or in the constructor`,
      { code: "PET_CONFIG_IN_USE" },
    );
  }

  /** The value as given; undefined: nowhere. */
  #given(name: SettingName): unknown {
    const variable = ALWAYS_FROM_ENV.has(name) ? alwaysFromEnv(name, this.#env) : null;
    if (variable !== null) return variable;
    if (this.#fromEnv.has(name)) return this.#fromEnv.get(name);
    if (this.#fromCode.has(name)) return this.#fromCode.get(name);
    for (let index = this.#objects.length - 1; index >= 0; index -= 1) {
      const values = this.#objects[index]?.source?.values;
      if (values?.has(name)) return values.get(name);
    }
    return undefined;
  }

  /** The value given, the default, or what the setting falls back to. */
  #value(setting: Setting): unknown {
    const given = this.#given(setting.name);
    const value = given === undefined ? setting.default : given;
    const fallback = FALLBACKS.get(setting.name);
    return fallback ? fallback(value, (name) => this.#named(name)) : value;
  }

  #named(name: SettingName): unknown {
    const setting = EXACT.get(name);
    return setting ? this.#value(setting) : null;
  }

  #createConf(): Conf {
    const target = Object.create(null, {
      update: { value: (settings: Settings | Readonly<Record<string, unknown>>) => this.update(settings) },
      // console.log(app.conf): all settings, secrets masked.
      [Symbol.for("nodejs.util.inspect.custom")]: { value: () => this.#shown() },
    }) as Conf;
    return new Proxy(target, {
      get: (_, key) => {
        const setting = settingOf(key);
        if (setting) return this.#frozen ? this.#frozen[setting.name] : this.#value(setting);
        return Reflect.get(target, key) as unknown;
      },
      set: (_, key, value: unknown) => {
        const setting = settingOf(key);
        if (!setting) throw unknownSetting(String(key), nearest(String(key), EXACT.keys()));
        this.#refuseWhenFrozen(setting.name);
        if (value === undefined) this.#fromCode.delete(setting.name);
        else this.#fromCode.set(setting.name, checkedValue(setting, value, setting.name));
        return true;
      },
      has: (_, key) => settingOf(key) !== null || Reflect.has(target, key),
      ownKeys: () => [...EXACT.keys(), ...Reflect.ownKeys(target)],
      getOwnPropertyDescriptor: (_, key) => {
        const setting = settingOf(key);
        if (!setting) return Reflect.getOwnPropertyDescriptor(target, key);
        return { value: this.#value(setting), enumerable: true, configurable: true, writable: true };
      },
      defineProperty: (_, key) => {
        throw unknownSetting(String(key), nearest(String(key), EXACT.keys()));
      },
    });
  }

  #shown(): Record<string, unknown> {
    const shown: Record<string, unknown> = {};
    for (const setting of SETTINGS) {
      const value = this.#value(setting);
      const hidden =
        setting.secret && value !== null && JSON.stringify(value) !== JSON.stringify(setting.default);
      shown[setting.name] = hidden ? MASK : value;
    }
    return shown;
  }
}

type Fallback = (value: unknown, read: (name: SettingName) => unknown) => unknown;

/** What other settings have to say of a value. */
const FALLBACKS: ReadonlyMap<SettingName, Fallback> = new Map<SettingName, Fallback>([
  ["brokerUrl", (value, read) => value ?? brokerUrlFromParts(read)],
  ["brokerReadUrl", (value, read) => value ?? read("brokerUrl")],
  ["brokerWriteUrl", (value, read) => value ?? read("brokerUrl")],
  ["resultBackend", resultBackendOf],
  ["taskDefaultExchange", (value, read) => value ?? read("taskDefaultQueue")],
  ["taskDefaultRoutingKey", (value, read) => value ?? read("taskDefaultQueue")],
]);

function settingOf(key: string | symbol): Setting | null {
  return typeof key === "string" ? (EXACT.get(key) ?? null) : null;
}

const EXACT: ReadonlyMap<string, Setting> = new Map(SETTINGS.map((setting) => [setting.name, setting]));
