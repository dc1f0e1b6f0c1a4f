import { describe, expect, test } from "vitest";
import { Config } from "../../../src/app/config.ts";

const fromEnv = (env: Record<string, string>, namespace?: string): Config => {
  const config = new Config({}, { env });
  config.fromEnv({ namespace });
  return config;
};

describe("the four variables that are always read", () => {
  test("win over code, without configFromEnv", () => {
    const env = {
      CELERY_BROKER_URL: "redis://env",
      CELERY_BROKER_READ_URL: "redis://env-r",
      CELERY_BROKER_WRITE_URL: "redis://env-w",
      CELERY_RESULT_BACKEND: "redis://env-results",
      CELERY_TASK_SERIALIZER: "yaml",
    };
    const { conf } = new Config({ brokerUrl: "redis://code", resultBackend: "redis://code" }, { env });
    expect(conf.brokerUrl).toBe("redis://env");
    expect(conf.brokerReadUrl).toBe("redis://env-r");
    expect(conf.brokerWriteUrl).toBe("redis://env-w");
    expect(conf.resultBackend).toBe("redis://env-results");
    expect(conf.taskSerializer).toBe("json");
  });

  test("CELERY_BROKER_URL does not hide a read URL given in code", () => {
    const { conf } = new Config(
      { brokerReadUrl: "redis://r" },
      { env: { CELERY_BROKER_URL: "redis://env" } },
    );
    expect(conf.brokerReadUrl).toBe("redis://r");
    expect(conf.brokerWriteUrl).toBe("redis://env");
  });

  test("empty ones are not set", () => {
    const { conf } = new Config({ brokerUrl: "redis://code" }, { env: { CELERY_BROKER_URL: "" } });
    expect(conf.brokerUrl).toBe("redis://code");
  });
});

describe("configFromEnv", () => {
  test("reads text by the type of each setting", () => {
    const { conf } = fromEnv({
      CELERY_TASK_SERIALIZER: "yaml",
      CELERY_TASK_ACKS_LATE: "yes",
      CELERY_WORKER_CONCURRENCY: "4",
      CELERY_RESULT_EXPIRES: "1h",
      CELERY_ACCEPT_CONTENT: "json, yaml",
      CELERY_BROKER_TRANSPORT_OPTIONS: '{"visibility_timeout": 60}',
      CELERY_TASK_ROUTES: '{"a.*": "low"}',
      CELERY_TASK_QUEUES: "high,low",
      CELERY_TASK_TIME_LIMIT: "none",
      CELERY_RESULT_BACKEND_MAX_RETRIES: "inf",
      CELERY_TASK_PUBLISH_RETRY_POLICY: '{"max_retries": 1}',
      CELERY_TASK_DEFAULT_RATE_LIMIT: "100/m",
    });
    expect({ ...conf }).toMatchObject({
      taskSerializer: "yaml",
      taskAcksLate: true,
      workerConcurrency: 4,
      resultExpires: 3600,
      acceptContent: ["json", "yaml"],
      brokerTransportOptions: { visibility_timeout: 60 },
      taskRoutes: { "a.*": "low" },
      taskQueues: [{ name: "high" }, { name: "low" }],
      taskTimeLimit: null,
      resultBackendMaxRetries: Infinity,
      taskPublishRetryPolicy: { maxRetries: 1, intervalMax: 1 },
      taskDefaultRateLimit: "100/m",
    });
  });

  test("wins over code", () => {
    const config = new Config({ taskSerializer: "json" }, { env: { CELERY_TASK_SERIALIZER: "yaml" } });
    config.fromEnv();
    expect(config.conf.taskSerializer).toBe("yaml");
  });

  test("takes another prefix", () => {
    expect(
      fromEnv({ SHOP_TASK_SERIALIZER: "yaml", CELERY_TASK_SERIALIZER: "msgpack" }, "SHOP").conf
        .taskSerializer,
    ).toBe("yaml");
  });

  test("takes old names that begin with the prefix, where the new one is absent", () => {
    expect(fromEnv({ CELERY_ACKS_LATE: "1" }).conf.taskAcksLate).toBe(true);
    expect(fromEnv({ CELERY_RESULT_EXPIRES: "6", CELERY_TASK_RESULT_EXPIRES: "5" }).conf.resultExpires).toBe(
      6,
    );
    expect(fromEnv({ BROKER_URL: "redis://x", CELERYD_CONCURRENCY: "3" }).conf.workerConcurrency).toBeNull();
  });

  test("an empty variable is one that is not set", () => {
    expect(fromEnv({ CELERY_TASK_SERIALIZER: "", CELERY_WORKER_CONCURRENCY: "" }).conf.taskSerializer).toBe(
      "json",
    );
  });

  test("a value that cannot be read is an error that names the variable", () => {
    expect(() => fromEnv({ CELERY_WORKER_CONCURRENCY: "many" })).toThrow(
      'setting CELERY_WORKER_CONCURRENCY (workerConcurrency) cannot be "many": it accepts a whole number (1 or more), or null',
    );
    expect(() => fromEnv({ CELERY_TASK_ACKS_LATE: "perhaps" })).toThrow(/accepts true or false/);
    expect(() => fromEnv({ CELERY_TASK_ROUTES: "{not json" })).toThrow(/taskRoutes/);
  });

  test("the value of a secret is not shown", () => {
    expect(() => fromEnv({ CELERY_BROKER_TRANSPORT_OPTIONS: '{"password": "hunter2"' })).toThrow(
      /^(?!.*hunter2).*it accepts an object/,
    );
  });

  test("unknown names are one warning with the nearest, once; variables of Celery that are no settings are none", () => {
    const config = fromEnv({
      CELERY_TASK_SERIALISER: "yaml",
      CELERY_FROBNICATE: "1",
      CELERY_CONFIG_MODULE: "celeryconfig",
      CELERY_LOADER: "x",
      CELERY_APP: "proj",
      PATH: "/bin",
    });
    expect(config.takeWarnings()).toEqual([
      {
        message: "environment variables that are no settings",
        fields: {
          variables: [
            { name: "CELERY_TASK_SERIALISER", nearest: "CELERY_TASK_SERIALIZER" },
            { name: "CELERY_FROBNICATE", nearest: null },
          ],
        },
      },
    ]);
    config.fromEnv();
    expect(config.takeWarnings()).toEqual([]);
  });

  test("ignored settings are accepted and named in the warning", () => {
    const [warning] = fromEnv({ CELERY_BROKER_HEARTBEAT: "10" }).takeWarnings();
    expect(warning?.fields).toEqual({
      settings: [{ name: "broker_heartbeat", reason: "concerns AMQP brokers only" }],
    });
  });
});
