/** `petiole db`: the tables of results and schedules. Django has `manage.py migrate`. */
import { internalsOf } from "../../app/internals.ts";
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
  const url = options.database ?? (await urlOfApp(invocation));
  if (sql) {
    const text = schemaSql(parseSqlUrl(url).dialect, apps);
    io.out(json ? jsonLine({ sql: text }) : text);
    return 0;
  }
  const database = await openDatabase(url, { poolSize: 1 });
  try {
    for (const warning of database.warnings) io.err(`${warning}\n`);
    const reports = check ? await checkSchema(database, apps) : await migrateSchema(database, apps);
    if (json) io.out(jsonLine({ database: database.redacted, apps: reports.map(jsonOf) }));
    else io.out(`${database.redacted}\n${reports.map((one) => `  ${lineOf(one, check)}\n`).join("")}`);
    return check && reports.some(({ state }) => state.kind !== "current") ? 1 : 0;
  } finally {
    await database.close();
  }
}

async function urlOfApp(invocation: Invocation): Promise<string> {
  const app = await openApp(invocation, { needsModule: false });
  try {
    const internals = internalsOf(app);
    await internals.finalize();
    const { resultBackend, databaseUrl } = internals.conf;
    for (const url of [resultBackend, databaseUrl]) if (url && isSqlUrl(url)) return url;
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
      return `${app}: ${state.problems.join("; ")}`;
    case "current":
    default: {
      const newer = state.newer.length === 0 ? "" : ` (Django is ahead: ${state.newer.join(", ")})`;
      return `${app}: ${check ? "complete" : "nothing to do"}${newer}`;
    }
  }
}
