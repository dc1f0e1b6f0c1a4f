import { expect, test } from "vitest";
import { ImproperlyConfigured } from "../../../src/errors.ts";
import { parseServerUrl } from "../../../src/redis/sentinel.ts";

test("a URL of Redis is read as ever", () => {
  expect(parseServerUrl("redis://h:1/2")).toMatchObject({ host: "h", port: 1, db: 2 });
  expect(parseServerUrl("redis://h:1/2").sentinels).toBeUndefined();
});

test("TLS is the master's", () => {
  expect(parseServerUrl("sentinel://a?master_name=main", { servername: "x" }).tls).toMatchObject({
    servername: "x",
  });
  expect(parseServerUrl("redis://a", true).tls).not.toBeNull();
  expect(parseServerUrl("sentinel://a?master_name=main").tls).toBeNull();
});

test("user, password and database are the master's, from the first of several sentinels", () => {
  const url =
    "sentinel://me:p%40ss@a/4?master_name=main&sentinel_password=guard; sentinel://b:1234;sentinel://[::1];";
  expect(parseServerUrl(url)).toMatchObject({
    username: "me",
    password: "p@ss",
    db: 4,
    warnings: [],
    redacted:
      "sentinel://me:**@a/4?master_name=main&sentinel_password=**; sentinel://b:1234;sentinel://[::1];",
    sentinels: {
      nodes: [
        { host: "a", port: 26_379 },
        { host: "b", port: 1234 },
        { host: "::1", port: 26_379 },
      ],
      masterName: "main",
      username: null,
      password: "guard",
    },
  });
});

test.each([
  ["sentinel://:secret@a", /add \?master_name=/],
  ["sentinel://:secret@a?master_name=", /add \?master_name=/],
  ["sentinel://:secret@a?master_name=m;redis://b", /mixes sentinel:\/\/ with other schemes/],
  ["sentinel://:secret@a/x?master_name=m", /database that is not a whole number/],
])("%s is refused, without the password", (url, message) => {
  let thrown: unknown;
  try {
    parseServerUrl(url);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ImproperlyConfigured);
  expect(String(thrown)).toMatch(message);
  expect(String(thrown)).not.toContain("secret");
});
