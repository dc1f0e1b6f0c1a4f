/** Django's own tables beside ours: the same on MariaDB and SQLite, and on ours `manage.py migrate` has nothing to do. */
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkSchema, DJANGO_APPS, migrateSchema, openDatabase } from "../../src/sql/index.ts";
import { type MariadbServer, startMariadb } from "../support/mariadb.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { python } from "../support/python.ts";
import { oracleDir } from "../support/python-forks.ts";
import { postgresSchema, schemaOf } from "../support/sql-schema.ts";

let postgres: PostgresServer;
let mariadb: MariadbServer;
let folder: string;
beforeAll(async () => {
  [postgres, mariadb] = await Promise.all([startPostgres(), startMariadb()]);
  folder = mkdtempSync(join(tmpdir(), "petiole-django-"));
}, 60_000);
afterAll(async () => {
  await Promise.all([postgres.stop(), mariadb.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

test("Django makes what we make, and has nothing to do where we made it", { timeout: 120_000 }, async () => {
  const ours = {
    postgres: await postgres.createDatabase("ours"),
    mariadb: await mariadb.createDatabase("ours"),
    sqlite: `sqlite:///${folder}/ours.db`,
  };
  const djangos = {
    default: `sqlite:///${folder}/django.db`,
    django_mariadb: await mariadb.createDatabase("django"),
  };
  for (const url of Object.values(ours)) {
    const database = await openDatabase(url);
    await migrateSchema(database, DJANGO_APPS);
    await database.close();
  }
  const made = postgresSchema(ours.postgres);
  const { stdout } = await promisify(execFile)(python(), ["migrate_all.py"], {
    cwd: join(oracleDir, "django_project"),
    env: {
      ...process.env,
      DATABASE_URL: djangos.default,
      DATABASE_URLS: JSON.stringify({ ...ours, django_mariadb: djangos.django_mariadb }),
    },
  });
  const answer = JSON.parse(stdout) as { pending: Record<string, string[]>; changes: boolean };
  expect(answer.changes).toBe(false);
  expect(answer.pending["django_mariadb"]).toHaveLength(35);
  expect(answer.pending).toMatchObject({ postgres: [], mariadb: [], sqlite: [] });
  expect(await schemaOf(ours.mariadb)).toEqual(await schemaOf(djangos.django_mariadb));
  expect(await schemaOf(ours.sqlite)).toEqual(await schemaOf(djangos.default));
  expect(postgresSchema(ours.postgres)).toEqual(made);
  for (const url of Object.values(djangos)) {
    const database = await openDatabase(url);
    expect((await checkSchema(database, DJANGO_APPS)).map(({ state }) => state.kind)).toEqual([
      "current",
      "current",
    ]);
    await database.close();
  }
});
