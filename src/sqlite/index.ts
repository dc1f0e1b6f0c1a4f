/** The embedded database: the only folder that opens it. */
export { Database } from "./database.ts";
export {
  asBuffer,
  type Handle,
  loadDriver,
  type Row,
  readText,
  type SqlValue,
  type Statement,
} from "./driver.ts";
export { isBusy, SqliteError, sqliteError } from "./errors.ts";
export { HolderLock, isHolderAlive, removeHolderLock } from "./holder-lock.ts";
export { keyHash } from "./key-hash.ts";
export { noteRun, type SqlitePublishClaim } from "./publish-claim.ts";
