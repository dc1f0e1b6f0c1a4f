import { expect, test } from "vitest";
import { internalsOf } from "../../../src/app/internals.ts";
import { Celery } from "../../../src/index.ts";

const URL = "db+postgresql://u:secret@h/x";

function entries(options: ConstructorParameters<typeof Celery>[1]): readonly string[] {
  return internalsOf(new Celery("t", options)).periodicTasks.map(({ name }) => name);
}

test("django-db is the database of databaseUrl, and names that setting where it has none", async () => {
  const names = ["django-db", "database", "django_celery_results.backends.database:DatabaseBackend"];
  for (const resultBackend of names)
    expect(new Celery("t", { resultBackend, databaseUrl: URL }).conf.resultBackend).toBe(URL);
  // Without db+ SQLite is Petiole's own file, where Django has no tables.
  const file = new Celery("t", { resultBackend: "django-db", databaseUrl: "sqlite:///x.db" });
  expect(file.conf.resultBackend).toBe("db+sqlite:///x.db");
  const app = new Celery("t", { resultBackend: "django-db" });
  await expect(internalsOf(app).openBackend()).rejects.toThrow("set databaseUrl too");
});

test("beat deletes expired results where they do not go by themselves", () => {
  expect(entries({ resultBackend: URL })).toEqual(["celery.backend_cleanup"]);
  expect(entries({ resultBackend: "django-db", databaseUrl: URL })).toEqual(["celery.backend_cleanup"]);
  expect(entries({ resultBackend: URL, resultExpires: null })).toEqual([]);
  expect(entries({ resultBackend: "redis://localhost" })).toEqual([]);
  expect(entries({ resultBackend: "sqlite:///results.db" })).toEqual([]);
  expect(entries({})).toEqual([]);
});

test("an entry of that name, or one that is switched off, takes its place", () => {
  const entry = { task: "celery.backend_cleanup", schedule: 60 };
  const own = new Celery("t", { resultBackend: URL, beatSchedule: { "celery.backend_cleanup": entry } });
  expect(internalsOf(own).periodicTasks).toMatchObject([{ schedule: { every: 60 } }]);
  const off = { "celery.backend_cleanup": { ...entry, enabled: false } };
  expect(entries({ resultBackend: URL, beatSchedule: off })).toEqual([]);
});
