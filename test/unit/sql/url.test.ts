import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { msOfSqlTime, normalTime, sqlTime } from "../../../src/sql/time.ts";
import { isSqlUrl, parseSqlUrl } from "../../../src/sql/url.ts";
import { thrownBy } from "../../support/thrown-by.ts";

describe("URLs", () => {
  test.each([
    [
      "db+postgresql+psycopg2://ann:p%40ss%2Fw@db.example:6432/shop",
      "postgresql",
      "db.example",
      6432,
      "p@ss/w",
    ],
    ["postgres://ann:p@ss@db.example/shop", "postgresql", "db.example", 5432, "p@ss"],
    ["db+mysql+pymysql://ann:p%25@[::1]/shop", "mysql", "::1", 3306, "p%"],
    ["mariadb://ann:x@/shop", "mysql", "localhost", 3306, "x"],
  ])("%s", (url, dialect, host, port, password) => {
    expect(parseSqlUrl(url)).toMatchObject({
      dialect,
      host,
      port,
      password,
      user: "ann",
      database: "shop",
      tls: null,
    });
  });

  test("SQLite's paths are SQLAlchemy's: three slashes before a relative one, four before an absolute one", () => {
    expect(parseSqlUrl("db+sqlite:///results.db")).toMatchObject({ path: resolve("results.db") });
    expect(parseSqlUrl("sqlite:////var/lib/a%20b.db")).toMatchObject({ path: "/var/lib/a b.db" });
  });

  test("PostgreSQL's sockets, options and encryption, which is verified", () => {
    expect(
      parseSqlUrl("postgresql:///shop?host=/run/postgresql&options=-csearch_path%3Dcelery&connect_timeout=2"),
    ).toMatchObject({
      socket: "/run/postgresql",
      sessionOptions: "-csearch_path=celery",
      connectTimeoutMs: 2000,
      user: null,
      password: null,
    });
    expect(parseSqlUrl("postgresql://h/x?sslmode=require")).toMatchObject({ tls: {}, warnings: [] });
    expect(parseSqlUrl("postgresql://h/x?sslmode=no-verify")).toMatchObject({
      tls: { rejectUnauthorized: false },
      warnings: [expect.stringContaining("verification off")],
    });
    expect(parseSqlUrl("postgresql://h/x?sslmode=prefer")).toMatchObject({
      tls: null,
      warnings: [expect.stringContaining("not encrypted")],
    });
  });

  test("MySQL's encryption, which any of its options asks for", () => {
    expect(parseSqlUrl("mysql://h/x?ssl=true")).toMatchObject({ tls: {} });
    expect(parseSqlUrl("mysql://h/x?ssl_verify_cert=false")).toMatchObject({
      tls: { rejectUnauthorized: false },
    });
    expect(parseSqlUrl("mysql://h/x?charset=latin1").warnings[0]).toContain("utf8mb4");
  });

  test.each([
    ["postgresql://ann:SECRET@h", "names no database"],
    ["postgresql://ann:SECRET@h1:1,h2:2/x", "one host"],
    ["postgresql://ann:SECRET@h:99999/x", "port"],
    ["postgresql://ann:SECRET@h/x?sslmod=require", 'no option "sslmod"'],
    ["postgresql://ann:SECRET@h/x?sslmode=on", "sslmode=on"],
    ["postgresql://ann:SECRET@h/x?sslmode=require&sslrootcert=/none", "cannot read /none"],
    ["mysql://ann:SECRET%@h/x", "%25"],
    ["mysql://ann:SECRET@h/x?connect_timeout=-1", "connect_timeout=-1"],
    ["oracle://ann:SECRET@h/x", "another form"],
    ["sqlite://", "names no file"],
    ["sqlite:///:memory:", "shared by nobody"],
    ["sqlite:///x.db?mode=ro", "no option"],
  ])("%s is refused, without its password", (url, why) => {
    const error = thrownBy(() => parseSqlUrl(url));
    expect(error).toMatchObject({ code: "PET_URL_INVALID", message: expect.stringContaining(why) });
    expect((error as Error).message).not.toContain("SECRET");
  });

  test("which URLs name a SQL database", () => {
    for (const url of ["db+sqlite:///x", "postgresql+asyncpg://h/x", "mysql://h/x"])
      expect(isSqlUrl(url)).toBe(true);
    for (const url of ["redis://h", "django-db", "db+oracle://h/x", ""]) expect(isSqlUrl(url)).toBe(false);
  });
});

describe("times", () => {
  test.each([
    ["2026-11-30 17:05:29.5+00", "2026-11-30 17:05:29.500000"],
    ["2026-11-30 17:05:29.000000", "2026-11-30 17:05:29"],
    ["2026-11-30T17:05:29.000001Z", "2026-11-30 17:05:29.000001"],
    ["infinity", "infinity"],
  ])("%s", (text, normal) => expect(normalTime(text)).toBe(normal));

  test("microseconds survive the way through a number", () => {
    const text = "2038-01-19 03:14:07.654321";
    expect(sqlTime(msOfSqlTime(text))).toBe(text);
    expect(sqlTime(msOfSqlTime("1969-12-31 23:59:59.999999"))).toBe("1969-12-31 23:59:59.999999");
    expect(msOfSqlTime("infinity")).toBeNaN();
  });
});
