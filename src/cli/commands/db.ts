/** `petiole db`: the tables of results and schedules. Django has `manage.py migrate`. */
import { internalsOf } from "../../app/internals.ts";
import type * as OwnTablesModule from "../../backends/sql/own-tables.ts";
import { isSqlBackend } from "../../backends/sql-schemes.ts";
import { PetioleError } from "../../errors.ts";
import {
  type AppReport,
  checkSchema,
  DJANGO_APPS,
  type DjangoApp,
  isSqlUrl,
  migrateSchema,
  openDatabase,
  parseSqlUrl,
  requireKysely,
  type SqlDatabase,
  schemaSql,
} from "../../sql/index.ts";
import type { ExitCode, Invocation } from "../io.ts";
import { jsonLine } from "../json-line.ts";
import { openApp } from "../open-app.ts";
import { wordOf } from "../words.ts";

/** What the option table reads for this command. */
interface DbOptions {
  readonly database?: string;
  readonly only?: "results" | "beat";
  readonly check?: boolean;
  readonly sql?: boolean;
  readonly json?: boolean;
}

const APPS: Readonly<Record<string, readonly DjangoApp[]>> = {
  results: ["django_celery_results"],
  beat: ["django_celery_beat"],
};

export async function db(invocation: Invocation): Promise<ExitCode> {
  const [action = ""] = invocation.args;
  return wordOf({ migrate }, action, "db")(invocation);
}

async function migrate(invocation: Invocation): Promise<ExitCode> {
  const { io } = invocation;
  const { only, check = false, sql = false, json = false, ...options } = invocation.options as DbOptions;
  if (check && sql)
    throw new PetioleError("PET_USAGE", "--check looks at a database, and --sql at none: say one of them");
  const apps = only === undefined ? DJANGO_APPS : (APPS[only] ?? DJANGO_APPS);
  const withResults = only !== "beat";
  const url = options.database ?? (await urlOfApp(invocation));
  if (sql) {
    const { dialect } = parseSqlUrl(url);
    const own = withResults ? (await ownModule()).ownStatements(dialect).map((one) => `\n${one};\n`) : [];
    const text = schemaSql(dialect, apps) + own.join("");
    io.out(json ? jsonLine({ sql: text }) : text);
    return 0;
  }
  const database = await openDatabase(url, { poolSize: 1 });
  try {
    for (const warning of database.warnings) io.err(`${warning}\n`);
    const reports = check ? await checkSchema(database, apps) : await migrateSchema(database, apps);
    const own = withResults ? await ownTables(database, check) : null;
    if (json) io.out(jsonLine({ database: database.redacted, apps: reports.map(jsonOf), petiole: own }));
    else {
      const lines = [...reports.map((one) => lineOf(one, check)), ...(own === null ? [] : [OWN_LINES[own]])];
      io.out(`${database.redacted}\n${lines.map((one) => `  ${one}\n`).join("")}`);
    }
    const complete = reports.every(({ state }) => state.kind === "current") && own !== "absent";
    return check && !complete ? 1 : 0;
  } finally {
    await database.close();
  }
}

type OwnState = "absent" | "made" | "current";

const OWN_LINES: Readonly<Record<OwnState, string>> = {
  absent: "petiole: its own tables, for chords and logs, are not there: run petiole db migrate",
  made: "petiole: made its own tables, for chords and logs",
  current: "petiole: its own tables are there",
};

/** What results need besides: workers would make them, where they may. */
async function ownTables(database: SqlDatabase, check: boolean): Promise<OwnState> {
  const { OwnSchema } = await ownModule();
  const schema = new OwnSchema(database.db, database.dialect);
  if (await schema.exists()) return "current";
  if (check) return "absent";
  await schema.ensure();
  return "made";
}

/** It imports Kysely: where that is not installed, say so. */
async function ownModule(): Promise<typeof OwnTablesModule> {
  await requireKysely();
  return import("../../backends/sql/own-tables.ts");
}

async function urlOfApp(invocation: Invocation): Promise<string> {
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const { resultBackend, databaseUrl } = internals.conf;
    // Without db+ a SQLite file is Petiole's own, with tables of its own.
    if (resultBackend !== null && isSqlBackend(resultBackend)) return resultBackend;
    if (databaseUrl !== null && isSqlUrl(databaseUrl)) return databaseUrl;
  } finally {
    await app.close();
  }
  throw new PetioleError(
    "PET_USAGE",
    "no SQL database is configured: give --database postgresql://user:password@host/name (or mysql://…, sqlite:///file.db), or -A with an app whose resultBackend or databaseUrl names one",
  );
}

function jsonOf({ app, state, made, recorded }: AppReport): unknown {
  const { kind, ...details } = state;
  return { app, state: kind, missing: [], problems: [], newer: [], ...details, made, recorded };
}

function lineOf({ app, state, made, recorded }: AppReport, check: boolean): string {
  if (recorded) {
    const tables = made.length === 0 ? "its tables were there" : `made ${made.join(", ")}`;
    return `${app}: ${tables}; recorded its migrations`;
  }
  switch (state.kind) {
    case "absent":
      return `${app}: nothing is there: run petiole db migrate`;
    case "unrecorded":
      return `${app}: its migrations are not recorded${state.missing.length === 0 ? "" : `, and ${state.missing.join(", ")} missing`}: run petiole db migrate`;
    case "behind":
      return `${app}: Django lacks ${state.missing.join(", ")}: run python manage.py migrate ${app}`;
    case "different":
      return `${app}: ${state.problems.join("; ")}: mend them, or rename the tables so that they can be made anew`;
    case "current":
    default: {
      const newer = state.newer.length === 0 ? "" : ` (Django is ahead: ${state.newer.join(", ")})`;
      return `${app}: ${check ? "complete" : "nothing to do"}${newer}`;
    }
  }
}
