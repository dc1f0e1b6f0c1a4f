/**
 * A transaction, and within one on the same database a savepoint.
 *
 * | fn of a transaction | then                                                              |
 * |---------------------|-------------------------------------------------------------------|
 * | returns             | COMMIT; what waits for it runs, in order; its value               |
 * | throws              | ROLLBACK; what waits is dropped; its error                        |
 *
 * | fn of a savepoint   | then                                                              |
 * |---------------------|-------------------------------------------------------------------|
 * | returns             | RELEASE; what waits for it waits for what is around it            |
 * | throws              | ROLLBACK TO; what waits for it is dropped, the rest is not; its error |
 *
 * A COMMIT that fails drops what waits too: where its connection broke meanwhile nobody knows whether it took place.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { CommitScope, within } from "../../app/on-commit.ts";
import {
  beginPg,
  beginSqlite,
  isSqlite,
  type PgPool,
  type Session,
  type SqliteDatabase,
} from "./databases.ts";

/** What `connect` of a pool gives: `pg` declares a form with a callback too. */
type ClientOf<P extends PgPool> = P["connect"] extends {
  (): Promise<infer C>;
  (...callback: never[]): unknown;
}
  ? C
  : Awaited<ReturnType<P["connect"]>>;

/** A transaction or a savepoint that is open here. */
interface Frame {
  readonly database: PgPool | SqliteDatabase;
  readonly session: Session;
  readonly scope: CommitScope;
  /** Savepoints in it are one after the other: they share its connection. */
  last: Promise<unknown>;
  /** Names its savepoints. */
  readonly depth: number;
  /** What it was begun in; null: nothing. */
  readonly around: Frame | null;
  /** false: it has ended, and what still runs below it is outside of it. */
  open: boolean;
}

const frames = new AsyncLocalStorage<Frame>();

/**
 * Runs a function in a transaction of a PostgreSQL pool (`pg`): it gets the connection that it is to use. Within another one on the same
 * pool: in a savepoint of that.
 */
export function transaction<P extends PgPool, R>(
  pool: P,
  fn: (client: ClientOf<P>) => R | Promise<R>,
): Promise<R>;
/**
 * Runs a function in a transaction of a SQLite handle. Others on the same handle wait for it; statements outside of any transaction are
 * part of the one that is open.
 */
export function transaction<D extends SqliteDatabase, R>(
  database: D,
  fn: (database: D) => R | Promise<R>,
): Promise<R>;
export function transaction<R>(
  database: PgPool | SqliteDatabase,
  fn: (connection: never) => R | Promise<R>,
): Promise<R> {
  const run = fn as (connection: unknown) => R | Promise<R>;
  const frame = frameOf(database);
  return frame === null ? outermost(database, run) : nested(frame, run);
}

/** The innermost one that is open on a database, also when one on another database is within it. */
function frameOf(database: PgPool | SqliteDatabase): Frame | null {
  let frame = frames.getStore() ?? null;
  while (frame !== null && (frame.database !== database || !frame.open)) frame = frame.around;
  return frame;
}

function frameIn(parts: Pick<Frame, "database" | "session" | "scope" | "depth">): Frame {
  return { ...parts, last: Promise.resolve(), around: frames.getStore() ?? null, open: true };
}

async function outermost<R>(
  database: PgPool | SqliteDatabase,
  fn: (connection: unknown) => R | Promise<R>,
): Promise<R> {
  const session = isSqlite(database) ? await beginSqlite(database) : await beginPg(database);
  const scope = new CommitScope(null);
  let broken: Error | null = null;
  let value: R;
  try {
    value = await inFrame(frameIn({ database, session, scope, depth: 0 }), fn);
    await session.commit();
  } catch (error) {
    scope.rolledBack();
    try {
      await session.execute("ROLLBACK");
    } catch (failed) {
      broken = failed as Error;
    }
    throw error;
  } finally {
    session.end(broken);
  }
  await scope.committed();
  return value;
}

function nested<R>(outer: Frame, fn: (connection: unknown) => R | Promise<R>): Promise<R> {
  const done = outer.last.then(() => inSavepoint(outer, fn));
  outer.last = done.catch(() => {});
  return done;
}

async function inSavepoint<R>(outer: Frame, fn: (connection: unknown) => R | Promise<R>): Promise<R> {
  const { database, session } = outer;
  const depth = outer.depth + 1;
  const name = `petiole_${depth}`;
  const scope = new CommitScope(outer.scope);
  await session.execute(`SAVEPOINT ${name}`);
  try {
    const value = await inFrame(frameIn({ database, session, scope, depth }), fn);
    await session.execute(`RELEASE SAVEPOINT ${name}`);
    scope.released();
    return value;
  } catch (error) {
    scope.rolledBack();
    await session.execute(`ROLLBACK TO SAVEPOINT ${name}`);
    await session.execute(`RELEASE SAVEPOINT ${name}`);
    throw error;
  }
}

/** Savepoints that its function did not wait for are over before it is. */
async function inFrame<R>(frame: Frame, fn: (connection: unknown) => R | Promise<R>): Promise<R> {
  try {
    return await frames.run(frame, () => within(frame.scope, () => fn(frame.session.connection)));
  } finally {
    await frame.last;
    frame.open = false;
  }
}
