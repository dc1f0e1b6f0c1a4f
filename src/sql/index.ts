/** SQL databases, and the tables that Django's packages have there. */
export { openDatabase, type SqlDatabase } from "./database.ts";
export { SqlError, type SqlErrorKind } from "./errors.ts";
export type { SqlTime, Tables } from "./tables.ts";
export { msOfSqlTime, sqlTime } from "./time.ts";
export { isSqlUrl } from "./url.ts";
