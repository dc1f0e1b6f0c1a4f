/**
 * Transactions that tasks wait for: `petiole/transactions`. What `task.delayOnCommit(…)` sends below `transaction(…)` is sent when it
 * has committed.
 *
 * @packageDocumentation
 */

export type { PgClient, PgPool, SqliteDatabase } from "./databases.ts";
export { type OnCommitOptions, onCommit } from "./on-commit.ts";
export { transaction } from "./transaction.ts";
