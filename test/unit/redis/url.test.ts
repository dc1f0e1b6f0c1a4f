import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { redactUrl } from "../../../src/base/redact-url.ts";
import { parseRedisUrl } from "../../../src/redis/url.ts";
import { seed } from "../../support/seed.ts";

function failureOf(action: () => unknown): { code: string; message: string } {
  try {
    action();
  } catch (error) {
    return error as { code: string; message: string };
  }
  throw new Error("it did not throw");
}

describe("reading Redis URLs", () => {
  test.each([
    ["redis://", { host: "localhost", port: 6379, db: 0, path: null, username: null, password: null }],
    ["redis://h", { host: "h", port: 6379, db: 0 }],
    ["redis://h:7000/3", { host: "h", port: 7000, db: 3 }],
    ["redis://h/", { db: 0 }],
    ["redis://h//2", { db: 2 }],
    ["redis:///4", { host: "localhost", db: 4 }],
    ["redis://:secret@h/1", { username: null, password: "secret", db: 1 }],
    ["redis://user:p%40s%2Fs@h", { username: "user", password: "p@s/s" }],
    ["redis://[::1]:7000/0", { host: "::1", port: 7000 }],
    ["redis+socket:///run/redis.sock", { path: "/run/redis.sock", db: 0 }],
    ["redis+socket:///run/redis.sock?virtual_host=5", { path: "/run/redis.sock", db: 5 }],
    ["unix:///run/my%20redis.sock?virtual_host=/2", { path: "/run/my redis.sock", db: 2 }],
    ["redis+socket://:pw@/run/redis.sock", { path: "/run/redis.sock", password: "pw" }],
  ])("%s", (url, expected) => {
    expect(parseRedisUrl(url)).toMatchObject({ tls: null, warnings: [], ...expected });
  });

  test.each([
    "not a url",
    "http://h",
    "redis://h/x",
    "redis://h/-1",
    "redis://h/1.5",
    "redis://:%zz@h",
    "redis+socket://",
    "rediss://h?ssl_cert_reqs=perhaps",
  ])("%s is refused with PET_URL_INVALID", (url) => {
    expect(failureOf(() => parseRedisUrl(url)).code).toBe("PET_URL_INVALID");
  });

  test("an error never has the password", () => {
    const failure = failureOf(() => parseRedisUrl("redis://user:s3cret@h/notanumber"));
    expect(failure.message).toContain("redis://user:**@h/notanumber");
    expect(failure.message).not.toContain("s3cret");
  });
});

describe("TLS", () => {
  test("rediss:// verifies: nothing is switched off unless asked", () => {
    expect(parseRedisUrl("rediss://h")).toMatchObject({ tls: {}, warnings: [] });
    expect(parseRedisUrl("redis://h", true)).toMatchObject({ tls: {}, warnings: [] });
    expect(parseRedisUrl("rediss://h?ssl_cert_reqs=CERT_REQUIRED").tls).toEqual({});
    expect(parseRedisUrl("rediss://h?ssl_cert_reqs=optional").tls).toEqual({});
  });

  test.each(["none", "CERT_NONE", "0"])(
    "ssl_cert_reqs=%s switches verification off, with a warning",
    (value) => {
      const address = parseRedisUrl(`rediss://h?ssl_cert_reqs=${value}`);
      expect(address.tls).toEqual({ rejectUnauthorized: false });
      expect(address.warnings.join()).toContain("certificate verification off");
    },
  );

  test("Python's and Node's names of broker_use_ssl", () => {
    const address = parseRedisUrl("redis://h", { ssl_cert_reqs: 0, servername: "other" });
    expect(address.tls).toEqual({ rejectUnauthorized: false, servername: "other" });
    expect(parseRedisUrl("redis://h", { rejectUnauthorized: false }).warnings).toHaveLength(1);
    const unchecked = parseRedisUrl("rediss://h?ssl_check_hostname=false");
    expect(typeof unchecked.tls?.["checkServerIdentity"]).toBe("function");
    expect(unchecked.warnings).toHaveLength(1);
  });

  test("files are read, and one that is missing is named", () => {
    const dir = mkdtempSync(join(tmpdir(), "petiole-url-"));
    try {
      const file = join(dir, "ca.pem");
      writeFileSync(file, "PEM");
      expect(parseRedisUrl(`rediss://h?ssl_ca_certs=${file}`).tls).toEqual({ ca: Buffer.from("PEM") });
      expect(parseRedisUrl("redis://h", { ssl_keyfile: file }).tls).toEqual({ key: Buffer.from("PEM") });
      const failure = failureOf(() => parseRedisUrl(`rediss://:pw1@h?ssl_certfile=${dir}/none`));
      expect(failure.message).toContain("none");
      expect(failure.message).not.toContain("pw1");
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test("parameters without effect, unknown ones, and ssl_ ones without TLS are warned of", () => {
    const { warnings } = parseRedisUrl("redis://h?socket_timeout=3&foo=1&ssl_cert_reqs=required");
    expect(warnings).toEqual([
      "socket_timeout has no effect here",
      "foo is not known and has no effect",
      "ssl_cert_reqs has no effect without rediss://",
    ]);
    expect(parseRedisUrl("redis://h?ssl_cert_reqs=none").tls).toBeNull();
  });
});

describe("redacting", () => {
  test.each([
    ["redis://h/0", "redis://h/0"],
    ["redis://user@h/0", "redis://user@h/0"],
    ["redis://user:pw@h/0", "redis://user:**@h/0"],
    ["redis://:p@w:x/y@h/0", "redis://:**@h/0"],
    ["redis://:a@h1;redis://:b@h2", "redis://:**@h1;redis://:**@h2"],
    ["redis://h?password=x&a=1", "redis://h?password=**&a=1"],
    ["", ""],
  ])("%s", (url, expected) => {
    expect(redactUrl(url)).toBe(expected);
  });

  test("no password survives, whatever it is made of", () => {
    const password = fc.string({ minLength: 6, maxLength: 20 }).filter((text) => !text.includes(";"));
    fc.assert(
      fc.property(password, (text) => {
        const url = `redis://user:${encodeURIComponent(`SECRET${text}`)}@host:6379/0`;
        expect(redactUrl(url)).toBe("redis://user:**@host:6379/0");
        expect(redactUrl(`redis://user:SECRET${text}@host:6379/0`)).not.toContain("SECRET");
      }),
      { seed },
    );
  });
});
