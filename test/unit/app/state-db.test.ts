/** Which state DB an app has: the table of `src/app/state-db.ts`. */
import { expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import { rememberInstall, type StateDbConfig, stateDbConfig } from "../../../src/app/state-db.ts";
import { Celery, type CeleryOptions } from "../../../src/index.ts";

interface Given {
  readonly settings?: CeleryOptions;
  readonly words?: { readonly statedb?: string; readonly redisStatedb?: string };
  readonly env?: Readonly<Record<string, string>>;
  readonly install?: Parameters<typeof rememberInstall>[1];
}

function configOf({ settings = {}, words = {}, env = {}, install }: Given): StateDbConfig {
  const app = new Celery("a", { brokerUrl: "memory://x", ...settings });
  if (install) rememberInstall(app, install);
  return stateDbConfig({ app, conf: internalsOf(app).conf, words, env });
}

test("none, where nobody asked for one", () => {
  expect(configOf({})).toEqual({
    redis: null,
    file: null,
    prefix: "celery:worker:state:",
    ttlSeconds: null,
    shared: true,
    policy: "warn",
  });
});

/** Strongest first. */
const SOURCES: readonly Given[] = [
  { words: { redisStatedb: "redis://0" } },
  { words: { statedb: "rediss://1" } },
  { install: { url: "redis://2" } },
  { settings: { redisStatedbUrl: "unix:///3" } },
  { settings: { workerStateDb: "redis+socket:///4" } },
  { env: { REDIS_STATEDB_URL: "redis://5" } },
  { env: { CELERY_REDIS_STATEDB_URL: "redis://6" } },
];

test.each(SOURCES.map((_, index) => index))(
  "of the URLs the first source that has one counts (%i)",
  (from) => {
    const given = SOURCES.slice(from).reduceRight<Given>(
      (sum, one) => ({
        settings: { ...sum.settings, ...one.settings },
        words: { ...sum.words, ...one.words },
        env: { ...sum.env, ...one.env },
        install: one.install ?? sum.install ?? {},
      }),
      {},
    );
    expect(configOf(given).redis).toMatch(new RegExp(`${from}$`));
  },
);

test("what is installed twice is installed once: the later options count, wholly", () => {
  const app = new Celery("a", { brokerUrl: "memory://x" });
  rememberInstall(app, { url: "redis://first", keyPrefix: "first:" });
  rememberInstall(app, { url: "redis://second" });
  const { conf } = internalsOf(app);
  expect(stateDbConfig({ app, conf, env: {} })).toMatchObject({
    redis: "redis://second",
    prefix: "celery:worker:state:",
  });
});

test("a file may stand beside Redis", () => {
  const both = { words: { statedb: "/var/%n.state", redisStatedb: "redis://r" } };
  expect(configOf(both)).toMatchObject({ redis: "redis://r", file: "/var/%n.state" });
  expect(
    configOf({ settings: { workerStateDb: "x.state" }, words: { statedb: "redis://r" } }).file,
  ).toBeNull();
  expect(configOf({ words: { statedb: "file:///x.state" } })).toMatchObject({
    redis: null,
    file: "file:///x.state",
  });
});

test("prefix and time to live: the environment, what was installed, the settings", () => {
  const settings = { redisStateKeyPrefix: "s:", redisStateTtl: 10 };
  const install = { keyPrefix: "i:", ttl: 20 };
  const env = { CELERY_REDIS_STATE_KEY_PREFIX: "e:", CELERY_REDIS_STATE_TTL: "30" };
  expect(configOf({ settings })).toMatchObject({ prefix: "s:", ttlSeconds: 10 });
  expect(configOf({ settings, install })).toMatchObject({ prefix: "i:", ttlSeconds: 20 });
  expect(configOf({ settings, install, env })).toMatchObject({ prefix: "e:", ttlSeconds: 30 });
  expect(configOf({ settings, env: { CELERY_REDIS_STATE_TTL: "0" } }).ttlSeconds).toBeNull();
  expect(() => configOf({ env: { CELERY_REDIS_STATE_TTL: "3h" } })).toThrow(
    /is seconds, 0 for ever, not "3h"/,
  );
});

test("a URL that is none is never silently no state DB", () => {
  expect(() => configOf({ words: { redisStatedb: "/var/state" } })).toThrow(/--redis-statedb takes a URL/);
  expect(() => configOf({ env: { REDIS_STATEDB_URL: "localhost:6379" } })).toThrow(
    /REDIS_STATEDB_URL takes a URL/,
  );
  // Which schemes are served is known when it is opened.
  expect(configOf({ words: { statedb: "sentinel://host" } }).redis).toBe("sentinel://host");
});
