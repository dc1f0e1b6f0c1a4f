import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSqliteUrl } from "../../../src/sqlite/url.ts";
import { thrownBy } from "../../support/thrown-by.ts";

test("names absolute and relative files, and options", () => {
  expect(parseSqliteUrl("sqlite:///var/lib/app.db")).toEqual({
    path: "/var/lib/app.db",
    synchronous: "NORMAL",
    busyTimeoutMs: 5000,
  });
  expect(parseSqliteUrl("sqlite://./.petiole/dev.db").path).toBe(join(process.cwd(), ".petiole/dev.db"));
  expect(parseSqliteUrl("SQLITE://dev.db").path).toBe(join(process.cwd(), "dev.db"));
  expect(parseSqliteUrl("sqlite:////var/x.db").path).toBe("/var/x.db");
  expect(parseSqliteUrl("sqlite:///a%20b/%3F%25.db").path).toBe("/a b/?%.db");
  expect(parseSqliteUrl("sqlite:///x.db?synchronous=full&busy_timeout=0.5")).toMatchObject({
    synchronous: "FULL",
    busyTimeoutMs: 500,
  });
});

test.each([
  ["sqlite:x.db", "of the form"],
  ["sqlite://", "names no file"],
  ["sqlite:///folder/", "names no file"],
  ["sqlite://:memory:", "memory://"],
  ["sqlite:///x%zz.db", "%25"],
  ["sqlite:///x.db?journal=wal", 'no option "journal"'],
  ["sqlite:///x.db?synchronous=OFF", "NORMAL or FULL"],
  ["sqlite:///x.db?busy_timeout=", "busy_timeout"],
  ["sqlite:///x.db?busy_timeout=-1", "busy_timeout"],
])("%s is refused: %s", (url, why) => {
  const error = thrownBy(() => parseSqliteUrl(url)) as { code?: string; message: string };
  expect(error.code).toBe("PET_URL_INVALID");
  expect(error.message).toContain(why);
});
