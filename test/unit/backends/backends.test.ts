import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { BackendOptions, ResultBackend } from "../../../src/backends/backend.ts";
import { openBackend } from "../../../src/backends/index.ts";
import { keyPrefix, ResultKeys } from "../../../src/backends/redis/keys.ts";
import { readBackendOptions } from "../../../src/backends/redis/options.ts";
import { backendError, ResultCodec } from "../../../src/backends/result-codec.ts";
import { BackendError, PetioleError } from "../../../src/errors.ts";
import type { ResultMeta } from "../../../src/protocol/wire.ts";
import { backendOptions } from "../../support/backend-options.ts";

function open(url: string, changes: Partial<BackendOptions> = {}): Promise<ResultBackend> {
  return openBackend(backendOptions(url, changes));
}

const META: ResultMeta = {
  taskId: "t",
  status: "SUCCESS",
  result: 1,
  traceback: null,
  children: [],
  dateDone: null,
  extra: {},
};

test("no backend: stores nothing, and every reading says so", async () => {
  for (const url of ["", "disabled", "disabled://", " "]) {
    const backend = await open(url);
    expect(backend.enabled).toBe(false);
    await backend.start(new AbortController().signal);
    await backend.store(backend.encode(META), null);
    for (const call of [
      () => backend.get(["t"]),
      () => backend.forget("t"),
      async () => backend.watch("t", () => {}),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "PET_BACKEND_DISABLED", name: "BackendError" });
    }
    await backend.stop();
  }
});

test("memory URLs of both forms open the store of that name", async () => {
  const [a, b] = [await open("memory://unit"), await open("cache+memory://unit")];
  expect(a.location).toEqual(b.location);
  await a.store(a.encode(META), null);
  expect(await b.get(["t"])).toEqual([META]);
  await b.forget("t");
});

test("what is not served is named, without the password", async () => {
  const cases: readonly (readonly [url: string, text: string])[] = [
    ["db+oracle://u:secret@h/x", "of databases PostgreSQL, MySQL, MariaDB and SQLite are"],
    ["django-db", "set databaseUrl too"],
    ["rpc://", "results over AMQP come with a later version"],
    ["cache+memcached://u:secret@h", "only cache+memory:// is served"],
    ["sentinel://:secret@h:26379", "Sentinel comes with a later version"],
    ["mongodb://u:secret@h", "is not served: set resultBackend to redis://"],
  ];
  for (const [url, text] of cases) {
    const failure = await open(url).then(
      () => null,
      (error: unknown) => error as PetioleError,
    );
    expect(failure?.message).toContain(text);
    expect(failure?.message).not.toContain("secret");
    expect(failure?.code).toBe("PET_URL_INVALID");
  }
});

test("global_keyprefix is set off by an underscore unless it ends in a separator", () => {
  expect(["", "myapp", "myapp:", "myapp_", "myapp-", "myapp.", "my app"].map(keyPrefix)).toEqual([
    "",
    "myapp_",
    "myapp:",
    "myapp_",
    "myapp-",
    "myapp.",
    "my app_",
  ]);
  expect(new ResultKeys("myapp").meta("x")).toBe("myapp_celery-task-meta-x");
});

test("options are checked, in either spelling", () => {
  expect(
    readBackendOptions({ globalKeyprefix: "p", visibility_timeout: 5, resultChordOrdered: true }),
  ).toEqual({
    chordOrdered: true,
    globalKeyprefix: "p",
    commandMs: 5000,
  });
  expect(readBackendOptions({ command_deadline: 1.5 }).commandMs).toBe(1500);
  expect(() => readBackendOptions({ global_keyprefix: 5 })).toThrow("expected a text");
  expect(() => readBackendOptions({ command_deadline: 0 })).toThrow("expected seconds");
  expect(() => readBackendOptions({ global_keyprefx: "p" })).toThrow('did you mean "global_keyprefix"');
});

test("times to live are whole seconds, and a fraction is not for ever", () => {
  const ttl = (expiresSeconds: number): number =>
    new ResultCodec(backendOptions("", { expiresSeconds })).ttlSeconds;
  expect([0, -1, 0.2, 1.9, 86_400].map(ttl)).toEqual([0, 0, 1, 1, 86_400]);
});

test("errors on the way become the backend's, PET_CLOSED stays", () => {
  const cause = new Error("boom");
  const wrapped = backendError(cause, "reading");
  expect([wrapped.name, wrapped.message, wrapped.cause]).toEqual([
    "BackendError",
    "reading failed: boom",
    cause,
  ]);
  const closed = new PetioleError("PET_CLOSED", "closed");
  expect(backendError(closed, "reading")).toBe(closed);
  const own = new BackendError("x");
  expect(backendError(own, "reading")).toBe(own);
});

test("every result that Celery stored in the vectors is read and written alike", () => {
  const codec = new ResultCodec(backendOptions(""));
  let seen = 0;
  for (const file of ["execution", "extra", "config_variants"]) {
    const text = readFileSync(new URL(`../../vectors/${file}.json`, import.meta.url), "utf8");
    const { entries } = JSON.parse(text) as { entries: { name: string; commands: { cmd: unknown[] }[] }[] };
    for (const { name, commands } of entries) {
      // Other serializers; and naive datetimes of microseconds, which a Date does not hold.
      if (/serializer_(?:msgpack|yaml)|types_back/.test(name)) continue;
      for (const { cmd } of commands) {
        const [command, key, ...rest] = cmd as string[];
        if (!/^(?:SETEX|SET)$/.test(command ?? "") || !/celery-task-meta-/.test(key ?? "")) continue;
        const value = rest.at(-1) ?? "";
        const meta = codec.decode(value, key ?? "");
        expect(key?.endsWith(meta.taskId)).toBe(true);
        expect([name, JSON.parse(codec.encode(meta).toString())]).toEqual([name, JSON.parse(value)]);
        seen += 1;
      }
    }
  }
  expect(seen).toBeGreaterThan(60);
});
