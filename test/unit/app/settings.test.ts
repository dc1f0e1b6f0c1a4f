import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IGNORED } from "../../../src/app/settings/ignored.ts";
import { namespaced } from "../../../src/app/settings/names.ts";
import {
  findOldSetting,
  findSetting,
  oldSettingNames,
  SETTINGS,
  settingNames,
  TABLE,
} from "../../../src/app/settings.ts";
import { camelCase, camelKeys, snakeCase } from "../../../src/base/case.ts";
import { seed } from "../../support/seed.ts";

interface CelerySetting {
  readonly default: string;
  readonly value: unknown;
  readonly type: string;
  readonly old: readonly string[];
}
const dump = JSON.parse(
  readFileSync(new URL("../../vectors/celery-defaults.json", import.meta.url), "utf8"),
) as { readonly celery: string; readonly settings: Readonly<Record<string, CelerySetting>> };
const celery = new Map(Object.entries(dump.settings));

/** Settings that Celery knows without listing them in its defaults (read with getattr, of its command line, or newer). */
const NOT_IN_DEFAULTS = [
  "broker_pool_acquire_timeout", // 5.7
  "database_engine_callback", // 5.7
  "override_backends",
  "redis_backend_credential_provider",
  "redis_backend_health_check_interval",
  "redis_client_name",
  "redis_state_key_prefix", // celery-redis-statedb
  "redis_state_ttl", // celery-redis-statedb
  "redis_statedb_url", // ours, as its environment variable
  "task_acks_on_failure", // 5.7
  "task_acks_on_timeout", // 5.7
  "worker_state_db_policy", // ours
  "worker_state_db_shared", // ours
  ...["beat", "events", "worker"].flatMap((program) =>
    ["executable", "gid", "logfile", "pidfile", "uid", "umask"].map((option) => `${program}_${option}`),
  ),
  ...[
    "key_expiry_check",
    "key_prefix",
    "lock_key",
    "lock_timeout",
    "redis_options",
    "redis_url",
    "redis_use_ssl",
  ].map((option) => `redbeat_${option}`),
];

/** Of Celery's documentation, without a default and without meaning here. */
const IGNORED_NOT_IN_DEFAULTS = ["result_backend_thread_safe"];

/** Another default than Celery's, and why. */
const OTHER_DEFAULTS: Readonly<Record<string, string>> = {
  worker_pool: "tasks that wait need no process each",
  worker_prefetch_multiplier: "4 as well, but an async pool of the default size takes what it can start",
  worker_proc_alive_timeout:
    "a child imports the app anew, where Python's is a fork of what is loaded already",
  worker_redirect_stdouts: "what a Node program prints is on stdout, apart from the log on stderr",
};

/** Celery's default in the form of ours. */
function asOurs(name: string, value: unknown): unknown {
  if (value === "Infinity") return Infinity;
  if (name === "task_publish_retry_policy") return camelKeys(value as Record<string, unknown>);
  return value;
}

describe("the settings table", () => {
  test("every setting of Celery 5.6.3 is in the table or in the list of ignored ones", () => {
    expect(dump.celery).toBe("5.6.3");
    const missing = [...celery.keys()].filter((name) => !findSetting(name));
    expect(missing).toEqual([]);
  });

  test("every setting of the table is Celery's, or is listed here as one that Celery does not list", () => {
    const ours = SETTINGS.map(({ python }) => python).filter((python) => !celery.has(python));
    expect(ours.toSorted()).toEqual(NOT_IN_DEFAULTS.toSorted());
    const ignored = [...IGNORED.keys()].filter((python) => !celery.has(python));
    expect(ignored).toEqual(IGNORED_NOT_IN_DEFAULTS);
  });

  test("defaults are Celery's, but for those listed here with the reason", () => {
    const different = SETTINGS.filter(({ python, default: value }) => {
      const theirs = celery.get(python);
      if (!theirs) return false;
      try {
        expect(value).toEqual(asOurs(python, theirs.value));
        return false;
      } catch {
        return true;
      }
    });
    expect(different.map(({ python }) => python)).toEqual(Object.keys(OTHER_DEFAULTS));
  });

  test("old names are Celery's", () => {
    const theirs = [...celery].map(([python, { old }]) => ({
      python,
      old,
      found: findSetting(python)?.setting,
    }));
    expect(theirs.filter(({ old, found }) => old.length !== 1 || found?.old !== old[0])).toEqual([]);
    expect(theirs.filter(({ old, found }) => findOldSetting(old[0] ?? "")?.setting !== found)).toEqual([]);
  });

  test("a setting is in the table or ignored, never both", () => {
    expect(SETTINGS.filter(({ python }) => IGNORED.has(python))).toEqual([]);
  });

  test("the public type has the settings of the table and no other", () => {
    // The compiler compares both ways (`Section<string>`); this reads the source, as a reader of it would.
    const source = readFileSync(new URL("../../../src/app/settings-types.ts", import.meta.url), "utf8");
    const start = source.indexOf("export interface Settings {");
    const members = [
      ...source.slice(start, source.indexOf("\n}", start)).matchAll(/^ {2}readonly (\w+)\?:/gm),
    ];
    expect(members.map((match) => match[1] ?? "").toSorted()).toEqual(Object.keys(TABLE).toSorted());
  });

  test("the types of defaults fit Celery's types", () => {
    const types: Readonly<Record<string, string>> = { bool: "boolean", int: "number", float: "number" };
    const different = SETTINGS.filter(({ python, default: value }) => {
      const type = types[celery.get(python)?.type ?? ""];
      return value !== null && type !== undefined && typeof value !== type;
    });
    expect(different.map(({ name }) => name)).toEqual([]);
  });

  test.each(SETTINGS.map((setting) => [setting.name, setting] as const))(
    "%s accepts its own default and refuses what is of no kind",
    (_, setting) => {
      expect(setting.default === null ? null : setting.type.read(setting.default)).toEqual(setting.default);
      expect(setting.type.read(Symbol("neither"))).toBeUndefined();
      expect(setting.text).toMatch(/^.+\.$/);
      expect(setting.since).toMatch(/^\d+\.\d+\.\d+$/);
    },
  );
});

describe("names of settings", () => {
  const settingName = fc.constantFrom(...settingNames());
  /** `word_word_2x`: what a Python name looks like. */
  const pythonName = fc
    .array(fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/), { minLength: 1, maxLength: 5 })
    .map((words) => words.join("_"));

  test("camelCase and snake_case are each other's inverse for every setting and any name of this form", () => {
    fc.assert(
      fc.property(fc.oneof(settingName.map(snakeCase), pythonName), (python) => {
        expect(snakeCase(camelCase(python))).toBe(python);
      }),
      { seed },
    );
    for (const name of settingNames()) expect(camelCase(snakeCase(name))).toBe(name);
  });

  test("every spelling of a setting finds it", () => {
    for (const setting of SETTINGS) {
      expect(findSetting(setting.name)?.setting).toBe(setting);
      expect(findSetting(setting.python)?.setting).toBe(setting);
      expect(findSetting(setting.env.slice("CELERY_".length).toLowerCase())?.setting).toBe(setting);
      expect(setting.old === null ? setting : findOldSetting(setting.old)?.setting).toBe(setting);
    }
  });

  test("names of the environment are all different, and none is another setting's old name", () => {
    expect(new Set(SETTINGS.map(({ env }) => env)).size).toBe(SETTINGS.length);
    const taken = SETTINGS.filter((setting) => (findOldSetting(setting.env)?.setting ?? setting) !== setting);
    expect(taken.map(({ env }) => env)).toEqual([]);
    expect(new Set(oldSettingNames()).size).toBe([...oldSettingNames()].length);
  });

  test("a namespace is a prefix in its own case", () => {
    expect(namespaced("taskSerializer", "CELERY")).toBe("CELERY_TASK_SERIALIZER");
    expect(namespaced("taskSerializer", "CELERY_")).toBe("CELERY_TASK_SERIALIZER");
    expect(namespaced("taskSerializer", "celery")).toBe("celery_task_serializer");
  });

  test("names that are none find nothing", () => {
    const none = [
      "",
      "__proto__",
      "constructor",
      "toString",
      "task_Serialiser",
      "TASKSERIALIZER",
      "task-serializer",
    ];
    expect(none.filter((name) => findSetting(name) !== null || findOldSetting(name) !== null)).toEqual([]);
  });
});
