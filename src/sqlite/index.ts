/** The embedded database: the only folder that opens it. */
export { Database } from "./database.ts";
export { asBuffer, readText, type SqlValue, storedText } from "./driver.ts";
export { SqliteError } from "./errors.ts";
export { HolderLock, isHolderAlive, removeHolderLock } from "./holder-lock.ts";
