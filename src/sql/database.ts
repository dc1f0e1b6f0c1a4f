/** A SQL database behind Kysely. Nothing is connected before the first statement. */
import type * as KyselyModule from "kysely";
import type { Dialect, Kysely } from "kysely";
import { type Clock, systemClock } from "../base/clock.ts";
import { PetioleError } from "../errors.ts";
import { SqlDriver } from "./driver.ts";
import { openMysql } from "./mysql.ts";
import { requireKysely } from "./peer.ts";
import { openPostgres } from "./postgresql.ts";
import { CONNECT_MS, type ConnectionSource, type SourceOptions } from "./source.ts";
import { openSqlite } from "./sqlite.ts";
import type { Tables } from "./tables.ts";
import { parseSqlUrl, type SqlAddress, type SqlDialect } from "./url.ts";

export interface OpenOptions {
  /** Connections at most. Default: 5. SQLite has one. */
  readonly poolSize?: number;
  /** A statement that takes longer is given up, and its connection closed. Default: 30 s. */
  readonly statementTimeoutMs?: number;
  readonly clock?: Clock;
}

export interface SqlDatabase {
  readonly dialect: SqlDialect;
  /** Throws `SqlError`s. Transactions are READ COMMITTED, on SQLite `BEGIN IMMEDIATE`. */
  readonly db: Kysely<Tables>;
  /** Without the password, for messages. */
  readonly redacted: string;
  /** For the operator's log, once. */
  readonly warnings: readonly string[];
  readonly address: SqlAddress;
  /** Idempotent. What runs is waited for; what comes later is refused. */
  close(): Promise<void>;
}

/**
 * @param url - as {@link parseSqlUrl} takes it, with or without `db+`
 * @throws ImproperlyConfigured for the URL, PetioleError `PET_PEER_MISSING`
 */
export async function openDatabase(url: string, options: OpenOptions = {}): Promise<SqlDatabase> {
  const address = parseSqlUrl(url);
  const kysely = await requireKysely();
  const source = await openSource(address, {
    poolSize: options.poolSize ?? 5,
    connectTimeoutMs: CONNECT_MS,
    statementTimeoutMs: options.statementTimeoutMs ?? 30_000,
    clock: options.clock ?? systemClock,
  });
  const { dialect, redacted, warnings } = address;
  const gate = { closed: false };
  const guarded: ConnectionSource = {
    ...source,
    acquire: () => {
      if (gate.closed) throw new PetioleError("PET_CLOSED", `the database ${redacted} was closed`);
      return source.acquire();
    },
  };
  const db = new kysely.Kysely<Tables>({
    dialect: dialectOf(kysely, dialect, new SqlDriver(guarded, redacted)),
  });
  return {
    dialect,
    db,
    redacted,
    warnings,
    address,
    async close() {
      gate.closed = true;
      await source.close();
    },
  };
}

function openSource(
  address: SqlAddress,
  options: SourceOptions & { readonly clock: Clock },
): Promise<ConnectionSource> {
  if (address.dialect === "sqlite") return openSqlite(address, options);
  return address.dialect === "mysql" ? openMysql(address, options) : openPostgres(address, options);
}

function dialectOf(kysely: typeof KyselyModule, dialect: SqlDialect, driver: SqlDriver): Dialect {
  const parts = {
    postgresql: [kysely.PostgresAdapter, kysely.PostgresQueryCompiler, kysely.PostgresIntrospector],
    mysql: [kysely.MysqlAdapter, kysely.MysqlQueryCompiler, kysely.MysqlIntrospector],
    sqlite: [kysely.SqliteAdapter, kysely.SqliteQueryCompiler, kysely.SqliteIntrospector],
  } as const;
  const [Adapter, Compiler, Introspector] = parts[dialect];
  return {
    createDriver: () => driver,
    createAdapter: () => new Adapter(),
    createQueryCompiler: () => new Compiler(),
    createIntrospector: (db) => new Introspector(db),
  };
}
