/** SQL databases, and the tables that Django's packages have there. */
export { openDatabase, type SqlDatabase } from "./database.ts";
export { SqlError } from "./errors.ts";
export { requireKysely } from "./peer.ts";
export { DJANGO_APPS, type DjangoApp } from "./schema/apps.ts";
export { type AppReport, checkSchema, migrateSchema, schemaSql } from "./schema/migrate.ts";
export type { Tables } from "./tables.ts";
export { sqlTime } from "./time.ts";
export { isSqlUrl, parseSqlUrl } from "./url.ts";
