/**
 * What a database has of the tables of one of Django's apps.
 *
 * | state | records in django_migrations | tables | `migrate` |
 * |---|---|---|---|
 * | absent | none | none | makes all, and records |
 * | current | all that we know | all, with all columns | does nothing |
 * | unrecorded | none | some, each with all columns | makes the others, and records |
 * | behind | some of those that we know | | refuses: they are Django's |
 * | different | none, or all | one lacks columns, or is missing though recorded | refuses |
 */
import type { Kysely } from "kysely";
import { PetioleError } from "../../errors.ts";
import type { Tables } from "../tables.ts";
import type { SqlDialect } from "../url.ts";
import { type Ddl, DJANGO_APPS, type DjangoApp, MIGRATIONS } from "./apps.ts";

export type AppState =
  | { readonly kind: "absent" }
  /** `newer`: migrations that Django has recorded and we do not know. */
  | { readonly kind: "current"; readonly newer: readonly string[] }
  /** `missing`: tables. */
  | { readonly kind: "unrecorded"; readonly missing: readonly string[] }
  /** `missing`: migrations. */
  | { readonly kind: "behind"; readonly missing: readonly string[] }
  | { readonly kind: "different"; readonly problems: readonly string[] };

/** Table -> its columns. */
type Found = ReadonlyMap<string, ReadonlySet<string>>;

const CATALOGUES: Readonly<Record<SqlDialect, string>> = {
  postgresql: `SELECT table_name AS "table", column_name AS "column" FROM information_schema.columns
    WHERE table_schema = ANY (current_schemas(false)) AND table_name LIKE 'django\\_%'`,
  mysql:
    "SELECT table_name AS `table`, column_name AS `column` FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name LIKE 'django\\\\_%'",
  sqlite: `SELECT t.name AS "table", c.name AS "column" FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
    WHERE t.type = 'table' AND t.name LIKE 'django\\_%' ESCAPE '\\'`,
};

/** @param db - of the connection that holds the lock, where something is to be changed */
export async function inspect(
  db: Kysely<Tables>,
  dialect: SqlDialect,
  ddl: Ddl,
): Promise<Readonly<Record<DjangoApp, AppState>>> {
  const { CompiledQuery } = await import("kysely");
  const { rows } = await db.executeQuery<{ table: string; column: string }>(
    CompiledQuery.raw(CATALOGUES[dialect]),
  );
  const found = new Map<string, Set<string>>();
  for (const { table, column } of rows) {
    const columns = found.get(table) ?? new Set();
    found.set(table, columns.add(column));
  }
  const records = found.has("django_migrations")
    ? await db
        .selectFrom("django_migrations")
        .select(["app", "name"])
        .where("app", "in", [...DJANGO_APPS])
        .execute()
    : [];
  const stateOfApp = (app: DjangoApp): AppState => {
    const applied = new Set(records.filter((one) => one.app === app).map(({ name }) => name));
    return stateOf(applied, MIGRATIONS[app], differences(ddl, app, found));
  };
  return {
    django_celery_results: stateOfApp("django_celery_results"),
    django_celery_beat: stateOfApp("django_celery_beat"),
  };
}

interface Differences {
  /** Tables that are not there. */
  readonly missing: readonly string[];
  readonly present: number;
  /** In those that are there. */
  readonly problems: readonly string[];
}

function differences(ddl: Ddl, app: DjangoApp, found: Found): Differences {
  const tables = Object.entries(ddl.apps[app]);
  const missing = tables.map(([name]) => name).filter((name) => !found.has(name));
  const problems = tables.flatMap(([name, [statement = ""]]) => {
    const there = found.get(name);
    const lacks = there === undefined ? [] : columnsOf(statement).filter((column) => !there.has(column));
    return lacks.length === 0 ? [] : [`${name} lacks ${lacks.join(", ")}`];
  });
  return { missing, present: tables.length - missing.length, problems };
}

function stateOf(applied: ReadonlySet<string>, known: readonly string[], tables: Differences): AppState {
  const { missing, present, problems } = tables;
  const unapplied = known.filter((name) => !applied.has(name));
  if (applied.size > 0 && unapplied.length > 0) return { kind: "behind", missing: unapplied };
  if (problems.length > 0) return { kind: "different", problems };
  if (applied.size === 0) return present === 0 ? { kind: "absent" } : { kind: "unrecorded", missing };
  if (missing.length > 0)
    return { kind: "different", problems: missing.map((name) => `${name} is recorded, but not there`) };
  return { kind: "current", newer: [...applied].filter((name) => !known.includes(name)) };
}

/** The names that stand before a type. */
export function columnsOf(createTable: string): readonly string[] {
  const found = createTable.matchAll(
    /[(,]\s*["`](\w+)["`] (?:integer|smallint|varchar|text|longtext|datetime|timestamp|bool|boolean|numeric|decimal)\b/g,
  );
  return [...found].map(([, name = ""]) => name);
}

/** What keeps `migrate` from an app; null: nothing. */
export function obstacle(app: DjangoApp, state: AppState): PetioleError | null {
  switch (state.kind) {
    case "behind":
      return new PetioleError(
        "PET_SCHEMA",
        `the tables of ${app} are Django's, and lack ${state.missing.length} migrations (${state.missing[0]}…): run \`python manage.py migrate ${app}\` there, with django-celery-results 2.6 or django-celery-beat 2.9 or newer; Petiole leaves them alone`,
      );
    case "different":
      return new PetioleError(
        "PET_SCHEMA",
        `the tables of ${app} are not those of Django's last migration (${state.problems.join("; ")}): mend them, or rename them so that they can be made anew; Petiole leaves them alone`,
      );
    case "absent":
    case "current":
    case "unrecorded":
    default:
      return null;
  }
}
