import { inspect } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Config } from "../../../src/app/config.ts";
import { brokerUrls } from "../../../src/app/config-parts.ts";
import { namespaced } from "../../../src/app/settings/names.ts";
import { SETTINGS, type Setting, type SettingName } from "../../../src/app/settings.ts";
import { ImproperlyConfigured } from "../../../src/errors.ts";
import { seed } from "../../support/seed.ts";

/** A configuration that the process's own environment has no say in. */
const config = (settings: object = {}, env: Record<string, string> = {}): Config =>
  new Config(settings, { env });

function errorOf(run: () => unknown): ImproperlyConfigured {
  try {
    run();
  } catch (error) {
    if (error instanceof ImproperlyConfigured) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("app.conf", () => {
  test("has every setting, with its default or null", () => {
    const { conf } = config();
    expect(conf.taskSerializer).toBe("json");
    expect(conf.workerPool).toBe("async");
    expect(conf.brokerUrl).toBeNull();
    expect(Object.keys(conf)).toEqual(SETTINGS.map(({ name }) => name));
    expect("taskSerializer" in conf).toBe(true);
    expect("taskSerialiser" in conf).toBe(false);
  });

  test("takes what the constructor and assignments say, the last one wins", () => {
    const { conf } = config({ taskSerializer: "msgpack", resultExpires: 5 });
    conf.taskSerializer = "yaml";
    conf.update({ result_expires: null });
    expect(conf.taskSerializer).toBe("yaml");
    expect(conf.resultExpires).toBeNull();
  });

  test("an assignment of undefined takes the earlier ones back", () => {
    const { conf } = config({ taskSerializer: "yaml" });
    (conf as { taskSerializer: unknown }).taskSerializer = undefined;
    expect(conf.taskSerializer).toBe("json");
  });

  test("refuses a name that does not exist and says which is near", () => {
    const { conf } = config();
    const error = errorOf(() => {
      (conf as unknown as Record<string, unknown>)["taskSerialiser"] = "json";
    });
    expect(error.code).toBe("PET_CONFIG_UNKNOWN");
    expect(error.message).toBe('no setting is called "taskSerialiser", did you mean "taskSerializer"?');
    expect(() => Object.defineProperty(conf, "x", { value: 1 })).toThrow(/no setting is called "x"/);
  });

  test("names of Celery's constructor are pointed at their settings", () => {
    expect(errorOf(() => config({ broker: "redis://x" })).message).toContain('did you mean "brokerUrl"?');
    expect(errorOf(() => config({ backend: "redis://x" })).message).toContain(
      'did you mean "resultBackend"?',
    );
  });

  test("a null in code is a value, and no reason to look further", () => {
    const settings = config({ taskTimeLimit: null, resultExpires: null });
    settings.fromObject({ taskTimeLimit: 5, resultExpires: 5 });
    expect(settings.conf.taskTimeLimit).toBeNull();
    expect(settings.conf.resultExpires).toBeNull();
  });

  test("refuses a wrong type and names setting, value and what is accepted", () => {
    const error = errorOf(() => config({ workerConcurrency: "four" }));
    expect(error.code).toBe("PET_CONFIG_INVALID");
    expect(error.message).toBe(
      'setting workerConcurrency cannot be "four": it accepts a whole number (1 or more), or null',
    );
    expect(errorOf(() => config({ worker_prefetch_multiplier: -1 })).message).toBe(
      "setting worker_prefetch_multiplier (workerPrefetchMultiplier) cannot be -1: it accepts a whole number (0 or more), or null",
    );
    expect(errorOf(() => config({ taskAcksLate: null })).message).toBe(
      "setting taskAcksLate cannot be null: it accepts true or false",
    );
  });

  test("never shows a value that may hold a password", () => {
    const secrets = SETTINGS.filter((setting) => setting.secret).map(({ name }) => name);
    expect(secrets).toEqual(
      expect.arrayContaining(["brokerUrl", "brokerPassword", "resultBackend", "redisPassword"]),
    );
    const told = secrets.flatMap((name) =>
      [{ secret: "hunter2", at: new Date() }, 42, ["hunter2", 42], Symbol("hunter2")].map((value) => {
        try {
          config({ [name]: value });
          return "accepted";
        } catch (error) {
          return (error as Error).message;
        }
      }),
    );
    expect(told.filter((message) => /hunter2|42/.test(message))).toEqual([]);
    const shown = inspect(config({ brokerUrl: "redis://:hunter2@x/0", taskSerializer: "yaml" }).conf);
    expect(shown).not.toContain("hunter2");
    expect(shown).toContain("taskSerializer: 'yaml'");
    expect(shown).toContain("brokerUrl: '********'");
  });

  test("taskProtocol 1 is refused with the reason", () => {
    expect(errorOf(() => config({ taskProtocol: 1 })).message).toMatch(
      /taskProtocol is wrong: messages of protocol 1 are understood .* not written: they cannot carry chains/,
    );
    expect(config({ taskProtocol: 2 }).conf.taskProtocol).toBe(2);
  });

  test("an update with one wrong member changes nothing", () => {
    const { conf } = config();
    expect(() => conf.update({ taskSerializer: "yaml", workerConcurrency: 0 })).toThrow(/workerConcurrency/);
    expect(conf.taskSerializer).toBe("json");
  });

  test("update takes old and new names mixed; the new one wins over its twin", () => {
    const { conf } = config();
    conf.update({ result_expires: 1, CELERY_TASK_RESULT_EXPIRES: 2, CELERYD_CONCURRENCY: 3 });
    expect(conf.resultExpires).toBe(1);
    expect(conf.workerConcurrency).toBe(3);
    conf.update({ CELERY_TASK_RESULT_EXPIRES: 2, resultExpires: 4 });
    expect(conf.resultExpires).toBe(4);
  });

  test("values are copies, and defaults cannot be changed for other apps", () => {
    const options: Record<string, unknown> = { visibility_timeout: 60 };
    const { conf } = config({ brokerTransportOptions: options });
    options["visibility_timeout"] = 1;
    expect(conf.brokerTransportOptions).toEqual({ visibility_timeout: 60 });
    expect(() => {
      (config().conf.brokerTransportOptions as Record<string, unknown>)["x"] = 1;
    }).toThrow(TypeError);
    expect(() => (config().conf.acceptContent as string[]).push("yaml")).toThrow(TypeError);
    expect(config().conf.brokerTransportOptions).toEqual({});
  });

  test("can be spread, and is no promise", async () => {
    const { conf } = config({ taskSerializer: "yaml" });
    expect({ ...conf }.taskSerializer).toBe("yaml");
    expect(await Promise.resolve(conf)).toBe(conf);
  });
});

describe("freezing", () => {
  test("makes a plain frozen object, and assignments name the setting that came too late", () => {
    const settings = config({ taskSerializer: "yaml" });
    const frozen = settings.freeze();
    expect(Object.getPrototypeOf(frozen)).toBe(Object.prototype);
    expect(Object.isFrozen(frozen)).toBe(true);
    expect(frozen.taskSerializer).toBe("yaml");
    expect(settings.freeze()).toBe(frozen);
    expect(settings.resolve()).toBe(frozen);
    const error = errorOf(() => {
      settings.conf.taskSerializer = "json";
    });
    expect(error.code).toBe("PET_CONFIG_IN_USE");
    expect(error.message).toContain("taskSerializer");
    expect(errorOf(() => settings.conf.update({ task_serializer: "json" })).message).toContain(
      "task_serializer",
    );
    expect(errorOf(() => settings.fromObject({})).code).toBe("PET_CONFIG_IN_USE");
    expect(errorOf(() => settings.fromEnv()).code).toBe("PET_CONFIG_IN_USE");
    expect(settings.conf.taskSerializer).toBe("yaml");
  });

  test("the environment is read once more, then no more", () => {
    const env: Record<string, string> = {};
    const settings = new Config({}, { env });
    env["CELERY_BROKER_URL"] = "redis://a";
    expect(settings.conf.brokerUrl).toBe("redis://a");
    settings.freeze();
    env["CELERY_BROKER_URL"] = "redis://b";
    expect(settings.conf.brokerUrl).toBe("redis://a");
  });

  test("an update of nothing is allowed", () => {
    const settings = config();
    settings.freeze();
    expect(() => settings.conf.update({})).not.toThrow();
  });
});

describe("what falls back to what", () => {
  test("the broker's URL is read and written under its own names or brokerUrl", () => {
    expect(config({ brokerUrl: "redis://a" }).resolve()).toMatchObject({
      brokerReadUrl: "redis://a",
      brokerWriteUrl: "redis://a",
    });
    expect(config({ brokerUrl: "redis://a", brokerReadUrl: "redis://r" }).resolve()).toMatchObject({
      brokerUrl: "redis://a",
      brokerReadUrl: "redis://r",
      brokerWriteUrl: "redis://a",
    });
  });

  test("an old-style broker is put together", () => {
    expect(
      config({
        broker_transport: "redis",
        broker_host: "queue.example",
        broker_port: 6380,
        broker_user: "u@x",
        broker_password: "p:/w",
        broker_vhost: "/2",
      }).conf.brokerUrl,
    ).toBe("redis://u%40x:p%3A%2Fw@queue.example:6380/2");
    expect(config({ brokerTransport: "redis" }).conf.brokerUrl).toBe("redis://localhost/");
    expect(config({ brokerTransport: "redis", brokerHost: "::1" }).conf.brokerUrl).toBe("redis://[::1]/");
    expect(config({ brokerHost: "redis://x/1" }).conf.brokerUrl).toBe("redis://x/1");
    // Celery's transport without one is AMQP: the error of the unserved scheme says so, instead of speaking Redis to RabbitMQ.
    expect(config({ brokerHost: "x" }).conf.brokerUrl).toBe("amqp://x/");
    expect(config({ brokerUrl: "redis://y", brokerHost: "x" }).conf.brokerUrl).toBe("redis://y");
    expect(config({ brokerPort: 1 }).conf.brokerUrl).toBeNull();
  });

  test("`redis` as result backend takes the parts of redisHost and its kin", () => {
    expect(config({ resultBackend: "redis" }).conf.resultBackend).toBe("redis://localhost/0");
    expect(
      config({
        resultBackend: "redis",
        redisHost: "h",
        redisPort: 1,
        redisDb: 3,
        redisUsername: "u",
        redisPassword: "p w",
      }).conf.resultBackend,
    ).toBe("redis://u:p%20w@h:1/3");
    expect(
      config({ resultBackend: "redis", redisHost: "/run/redis.sock", redisDb: 2 }).conf.resultBackend,
    ).toBe("redis+socket:///run/redis.sock?virtual_host=2");
    expect(config({ resultBackend: "redis://x", redisHost: "h" }).conf.resultBackend).toBe("redis://x");
  });

  test("default exchange and routing key are the default queue", () => {
    expect(config({ taskDefaultQueue: "q" }).resolve()).toMatchObject({
      taskDefaultExchange: "q",
      taskDefaultRoutingKey: "q",
    });
    expect(config({ taskDefaultQueue: "q", taskDefaultExchange: "x" }).resolve()).toMatchObject({
      taskDefaultExchange: "x",
      taskDefaultRoutingKey: "q",
    });
  });

  test("brokers to try are an array, and no broker is an error that says what to set", () => {
    const urlsOf = (settings: object): readonly string[] => brokerUrls(config(settings).resolve(), "write");
    expect(urlsOf({ brokerUrl: "redis://a" })).toEqual(["redis://a"]);
    expect(urlsOf({ brokerUrl: "redis://a; redis://b;" })).toEqual(["redis://a", "redis://b"]);
    expect(urlsOf({ brokerUrl: ["redis://a", "redis://b"] })).toEqual(["redis://a", "redis://b"]);
    expect(
      brokerUrls(config({ brokerUrl: "redis://a", brokerReadUrl: "redis://r" }).resolve(), "read"),
    ).toEqual(["redis://r"]);
    expect(errorOf(() => urlsOf({})).message).toMatch(/give brokerUrl .* set CELERY_BROKER_URL/);
  });
});

describe("configFromObject", () => {
  test("reads camelCase and snake_case", () => {
    const settings = config();
    settings.fromObject({ taskSerializer: "yaml", task_acks_late: true });
    expect(settings.conf.taskSerializer).toBe("yaml");
    expect(settings.conf.taskAcksLate).toBe(true);
  });

  test("is weaker than code, and of two the later one wins name by name", () => {
    const settings = config({ taskSerializer: "msgpack" });
    settings.fromObject({ taskSerializer: "yaml", resultSerializer: "yaml", taskAcksLate: true });
    settings.fromObject({ resultSerializer: "msgpack" });
    expect(settings.conf.taskSerializer).toBe("msgpack");
    expect(settings.conf.resultSerializer).toBe("msgpack");
    expect(settings.conf.taskAcksLate).toBe(true);
  });

  test("a whole configuration with old names is read", () => {
    const settings = config();
    settings.fromObject({
      BROKER_URL: "redis://x",
      CELERY_RESULT_BACKEND: "redis://y",
      CELERYD_CONCURRENCY: 3,
      CELERYBEAT_SCHEDULE: {},
    });
    expect(settings.conf.brokerUrl).toBe("redis://x");
    expect(settings.conf.workerConcurrency).toBe(3);
  });

  test("old and new names are not mixed; the error tells what to rename", () => {
    expect(
      errorOf(() =>
        config().fromObject({ task_serializer: "json", result_expires: 1, CELERYD_CONCURRENCY: 3 }),
      ).message,
    ).toContain("most are new, so rename CELERYD_CONCURRENCY -> worker_concurrency");
    expect(
      errorOf(() => config().fromObject({ BROKER_URL: "x", CELERYD_CONCURRENCY: 3, task_serializer: "json" }))
        .message,
    ).toContain("most are old, so rename task_serializer -> CELERY_TASK_SERIALIZER");
    expect(
      errorOf(() => config().fromObject({ BROKER_URL: "x", CELERYD_CONCURRENCY: 3, redisStateTtl: 1 }))
        .message,
    ).toContain("(redis_state_ttl has no old name)");
  });

  test("of as many old as new names the new ones are right, as in Celery", () => {
    expect(
      errorOf(() => config().fromObject({ CELERYD_CONCURRENCY: 3, task_serializer: "json" })).message,
    ).toContain("most are new");
  });

  test("both names of one setting are no mix, and the new one counts", () => {
    const settings = config();
    settings.fromObject({ result_expires: 1, CELERY_TASK_RESULT_EXPIRES: 2, task_serializer: "yaml" });
    expect(settings.conf.resultExpires).toBe(1);
  });

  test("upper-case constants that are none of Celery's are somebody else's", () => {
    const settings = config();
    settings.fromObject({
      DEBUG: true,
      SECRET_KEY: "x",
      S3_BUCKET: "b",
      INSTALLED_APPS: [],
      BROKER_URL: "redis://x",
    });
    expect(settings.conf.brokerUrl).toBe("redis://x");
    expect(settings.takeWarnings()).toEqual([]);
    expect(errorOf(() => config().fromObject({ CELERY_TASK_SERIALISER: "json" })).message).toContain(
      'did you mean "CELERY_TASK_SERIALIZER"?',
    );
    expect(errorOf(() => config().fromObject({ BROKER_URI: "x" })).message).toContain(
      'did you mean "BROKER_URL"?',
    );
  });

  test("an unknown name is an error in the spelling it was given in", () => {
    expect(errorOf(() => config().fromObject({ task_serialiser: "json" })).message).toBe(
      'no setting is called "task_serialiser", did you mean "task_serializer"?',
    );
    expect(errorOf(() => config().fromObject({ taskSerialiser: "json" })).message).toContain(
      '"taskSerializer"?',
    );
  });

  test("with a namespace only its prefix is looked at, and old names where the new one is absent", () => {
    const settings = config();
    settings.fromObject(
      {
        DEBUG: true,
        TIME_ZONE: "Europe/Berlin",
        debugToolbar: {},
        task_serializer: "yaml",
        CELERY_RESULT_EXPIRES: 7,
        CELERY_TASK_RESULT_EXPIRES: 8,
        CELERY_ACKS_LATE: true,
        CELERYD_CONCURRENCY: 5,
        CELERY_WORKER_PREFETCH_MULTIPLIER: 2,
      },
      { namespace: "CELERY" },
    );
    expect(settings.conf.workerPrefetchMultiplier).toBe(2);
    expect(settings.conf.taskSerializer).toBe("json");
    expect(settings.conf.resultExpires).toBe(7);
    expect(settings.conf.taskAcksLate).toBe(true);
    expect(settings.conf.workerConcurrency).toBe(5);
    expect(settings.conf.timezone).toBe("Europe/Berlin");
    expect(
      errorOf(() => config().fromObject({ CELERY_RESULT_EXPIRE: 1 }, { namespace: "CELERY" })).message,
    ).toContain('did you mean "CELERY_RESULT_EXPIRES"?');
  });

  test("a namespace may be lower-case", () => {
    const settings = config();
    settings.fromObject(
      { shop_task_serializer: "yaml", SHOP_RESULT_SERIALIZER: "yaml" },
      { namespace: "shop" },
    );
    expect(settings.conf.taskSerializer).toBe("yaml");
    expect(settings.conf.resultSerializer).toBe("json");
  });

  test("TIME_ZONE is weaker than timezone", () => {
    const settings = config();
    settings.fromObject(
      { TIME_ZONE: "Europe/Berlin", CELERY_TIMEZONE: "Asia/Tokyo" },
      { namespace: "CELERY" },
    );
    expect(settings.conf.timezone).toBe("Asia/Tokyo");
    const old = config();
    old.fromObject({ CELERY_TIMEZONE: "Asia/Tokyo", TIME_ZONE: "Europe/Berlin" });
    expect(old.conf.timezone).toBe("Asia/Tokyo");
  });

  test("a class with static fields is an object like any other", () => {
    const settings = config();
    settings.fromObject(Object.assign(function Settings() {}, { task_serializer: "yaml" }));
    expect(settings.conf.taskSerializer).toBe("yaml");
    expect(() => settings.fromObject(null as never)).toThrow(/takes an object, or a string/);
    expect(() => settings.conf.update([] as never)).toThrow(/given as an object/);
  });

  test("a module's exports are read without its default export and private names", () => {
    const settings = config();
    settings.fromObject({
      default: {},
      __esModule: true,
      _helper: 1,
      taskSerializer: "yaml",
      task_acks_late: undefined,
    });
    expect(settings.conf.taskSerializer).toBe("yaml");
  });

  test("a module given by name keeps its place in the order", async () => {
    const settings = config();
    settings.fromObject({ taskSerializer: "yaml", resultSerializer: "yaml" });
    settings.fromObject("conf:settings", { namespace: "X" });
    settings.fromObject({ resultSerializer: "msgpack" });
    expect(settings.pending).toBe(true);
    expect(() => settings.freeze()).toThrow(/"conf:settings" is not loaded yet/);
    await settings.load(async (spec) => {
      expect(spec).toBe("conf:settings");
      return { X_TASK_SERIALIZER: "msgpack", X_RESULT_SERIALIZER: "json" };
    });
    expect(settings.pending).toBe(false);
    expect(settings.freeze()).toMatchObject({ taskSerializer: "msgpack", resultSerializer: "msgpack" });
  });

  test("a hostile object pollutes nothing", () => {
    const hostile = JSON.parse(
      '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}',
    ) as object;
    expect(() => config().fromObject(hostile)).toThrow(/no setting is called "constructor"/);
    expect(() => config(hostile)).toThrow(/no setting is called "__proto__"/);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe("warnings", () => {
  test("settings without meaning here are named in one warning, once", () => {
    const settings = config({ broker_heartbeat: 10, mongodb_backend_settings: {} });
    settings.fromObject({ worker_agent: "x", worker_hijack_root_logger: false });
    const [warning, ...more] = settings.takeWarnings();
    expect(more).toEqual([]);
    expect(warning?.message).toBe("settings that have no effect here");
    expect(warning?.fields).toEqual({
      settings: [
        { name: "broker_heartbeat", reason: "concerns AMQP brokers only" },
        { name: "mongodb_backend_settings", reason: "there is no such result backend" },
        { name: "worker_agent", reason: "concerns Python's processes and threads only" },
        { name: "workerHijackRootLogger", reason: "There is no root logger." },
      ],
    });
    expect(settings.takeWarnings()).toEqual([]);
  });

  test("there is none for a plain configuration", () => {
    expect(config({ brokerUrl: "redis://x", taskSerializer: "json" }).takeWarnings()).toEqual([]);
  });
});

describe("precedence", () => {
  /** Settings whose values can be told apart: a distinct value for each layer, as code has it and as text. */
  const VALUES: Partial<Record<SettingName, readonly [unknown, unknown, unknown, unknown]>> = {
    taskSerializer: ["json", "yaml", "msgpack", "auth"],
    resultExpires: [1, 2, 3, 4],
    workerConcurrency: [1, 2, 3, 4],
    taskDefaultQueue: ["a", "b", "c", "d"],
    acceptContent: [["json"], ["yaml"], ["msgpack"], ["json", "yaml"]],
    workerPrefetchMultiplier: [1, 2, 3, 0],
    brokerUrl: ["redis://1", "redis://2", "redis://3", "redis://4"],
    resultBackend: ["redis://1", "redis://2", "redis://3", "redis://4"],
  };
  type Layer = "object" | "code" | "env";
  const spellings = (setting: Setting): readonly string[] => [setting.name, setting.python];
  const step = fc.record({
    layer: fc.constantFrom<Layer>("object", "code", "env"),
    name: fc.constantFrom(...(Object.keys(VALUES) as SettingName[])),
    value: fc.nat({ max: 3 }),
    spelling: fc.nat({ max: 1 }),
  });

  test("environment over code over objects over defaults, and within each the later wins, in any order of calls", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        const env: Record<string, string> = {};
        const settings = new Config({}, { env });
        const model = {
          object: new Map<string, unknown>(),
          code: new Map<string, unknown>(),
          env: new Map<string, unknown>(),
        };
        for (const { layer, name, value: index, spelling } of steps) {
          const setting = SETTINGS.find((one) => one.name === name);
          if (!setting) throw new Error(name);
          const value = VALUES[name]?.[index];
          model[layer].set(name, value);
          const source = { [spellings(setting)[spelling] ?? name]: value };
          if (layer === "object") settings.fromObject(source);
          else if (layer === "code") settings.conf.update(source);
          else {
            env[namespaced(name, "CELERY")] = Array.isArray(value) ? value.join(",") : String(value);
            settings.fromEnv();
          }
        }
        const resolved = settings.resolve();
        for (const setting of SETTINGS.filter(({ name }) => name in VALUES)) {
          const { name } = setting;
          const expected = [model.env, model.code, model.object].find((layer) => layer.has(name))?.get(name);
          expect([name, resolved[name]]).toEqual([name, expected === undefined ? setting.default : expected]);
          expect(settings.conf[name]).toEqual(resolved[name]);
        }
      }),
      { seed },
    );
  });

  test("every spelling of every setting reaches it with the same value", () => {
    for (const setting of SETTINGS) {
      if (setting.default === null || setting.name === "taskPublishRetryPolicy") continue;
      const read = (source: object, namespace?: string): unknown => {
        const settings = config();
        settings.fromObject(source, { namespace });
        return settings.resolve()[setting.name];
      };
      expect(read({ [setting.name]: setting.default })).toEqual(setting.default);
      expect(read({ [setting.python]: setting.default })).toEqual(setting.default);
      expect(read({ [setting.env]: setting.default }, "CELERY")).toEqual(setting.default);
      expect(read({ [setting.old ?? setting.name]: setting.default })).toEqual(setting.default);
    }
  });
});
