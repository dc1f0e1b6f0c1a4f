/** What a database says of its tables, in a form that is compared: sorted, one entry for each table, index or constraint. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CompiledQuery } from "kysely";
import { postgresPrograms } from "../../scripts/lib/postgres.mjs";
import { openDatabase } from "../../src/sql/index.ts";
import { root } from "./built.ts";

/** The statements of a dump of PostgreSQL, without comments and settings of the session. */
function statementsOf(dump: string): readonly string[] {
  return dump
    .split("\n")
    .filter((line) => !/^(?:--|SET |SELECT pg_catalog\.|\\)/.test(line))
    .join("\n")
    .split(";\n")
    .map((one) => one.trim())
    .filter((one) => one !== "")
    .sort();
}

const isOfApps = (text: string): boolean => text.includes("django_celery_") || text.includes("django_cele_");

/** Of PostgreSQL, but for the table of Django's records. */
export function postgresSchema(url: string): readonly string[] {
  const dump = execFileSync(
    `${postgresPrograms() ?? ""}/pg_dump`,
    ["--schema-only", "--no-owner", "--no-privileges", "-d", url],
    { encoding: "utf8" },
  );
  return statementsOf(dump).filter(isOfApps);
}

/** What Django 5.2 made on PostgreSQL 15. */
export function recordedPostgresSchema(): readonly string[] {
  return statementsOf(readFileSync(join(root, "test/django-schema.sql"), "utf8")).filter(isOfApps);
}

/** Of MariaDB or SQLite. */
export async function schemaOf(url: string): Promise<readonly string[]> {
  const database = await openDatabase(url);
  const ask = async (text: string): Promise<readonly Record<string, unknown>[]> =>
    (await database.db.executeQuery<Record<string, unknown>>(CompiledQuery.raw(text))).rows;
  try {
    if (database.dialect === "sqlite") {
      const rows = await ask("SELECT sql FROM sqlite_schema WHERE name LIKE 'django_%' AND sql IS NOT NULL");
      return rows.map((row) => String(row["sql"])).sort();
    }
    const tables = await ask("SHOW TABLES LIKE 'django\\_%'");
    const made: string[] = [];
    for (const row of tables) {
      const [created] = await ask(`SHOW CREATE TABLE \`${String(Object.values(row)[0])}\``);
      made.push(String(created?.["Create Table"]).replace(/ AUTO_INCREMENT=\d+/, ""));
    }
    return made.sort();
  } finally {
    await database.close();
  }
}
