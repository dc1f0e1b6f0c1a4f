/** MariaDB and MySQL over the package `mysql2`. */
import type * as Mysql from "mysql2/promise";
import type {
  Pool,
  PoolConnection,
  PoolOptions,
  ResultSetHeader,
  RowDataPacket,
  TypeCast,
} from "mysql2/promise";
import { importPeer } from "../base/import-peer.ts";
import { NOT_TRUSTED, SqlError, type Verdict, verdictOfSocket } from "./errors.ts";
import type { Answer, ConnectionSource, SourceConnection, SourceOptions } from "./source.ts";
import { normalTime } from "./time.ts";
import type { ServerAddress } from "./url.ts";

/** Statements that a connection keeps prepared. */
const PREPARED = 200;
const IDLE_MS = 30_000;

/** Strict, so that what does not fit is refused and not cut; and without NO_BACKSLASH_ESCAPES, ANSI_QUOTES and their kin. */
const SQL_MODE = "STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

const REFUSED: Verdict = { kind: "refused", outcome: "not sent", broken: false };
const BUSY: Verdict = { kind: "busy", outcome: "not sent", broken: false };
const LOST: Verdict = { kind: "unreachable", outcome: "unknown", broken: true };
const FULL: Verdict = {
  kind: "unreachable",
  outcome: "not sent",
  broken: true,
  advice: "the server is out of connections or disk",
};
const READ_ONLY: Verdict = {
  kind: "unreachable",
  outcome: "not sent",
  broken: true,
  advice: "the server takes no writes: it is a replica, or set so",
};

/** Number of an error of the server -> what it means. */
const NUMBERS: ReadonlyMap<number, Verdict> = new Map([
  [1021, FULL], // disk
  [1040, FULL], // connections
  [1114, FULL], // table
  [1203, FULL], // connections of this user
  [1044, { ...REFUSED, advice: "grant this user the database" }],
  [1045, { ...REFUSED, broken: true, advice: "check user and password" }],
  [1053, LOST], // shuts down
  [1062, { kind: "conflict", outcome: "not sent", broken: false }],
  [1054, { kind: "missing", outcome: "not sent", broken: false }],
  [1146, { kind: "missing", outcome: "not sent", broken: false }],
  [1142, { ...REFUSED, advice: "grant this user SELECT, INSERT, UPDATE and DELETE on the tables" }],
  [1205, BUSY], // lock
  [1213, BUSY], // deadlock
  [1290, READ_ONLY],
  [1836, READ_ONLY],
  [1927, LOST], // killed
  [1969, BUSY], // max_statement_time
  [3024, BUSY], // max_execution_time
  [4031, LOST], // idle for too long
]);

export function judgeMysql(error: unknown): Verdict {
  const { errno, code, fatal } = (error ?? {}) as { errno?: unknown; code?: unknown; fatal?: unknown };
  if (typeof errno === "number" && errno >= 1000) return NUMBERS.get(errno) ?? REFUSED;
  // mysql2 puts it in the place of Node's code, also where the way broke.
  if (code === "HANDSHAKE_SSL_ERROR") {
    const broke = error instanceof Error && /ECONN|EPIPE|disconnected|closed|hang up/i.test(error.message);
    return broke ? LOST : NOT_TRUSTED;
  }
  const socket = verdictOfSocket(error);
  if (socket !== null) return socket;
  if (code === "HANDSHAKE_NO_SSL_SUPPORT") {
    return {
      ...REFUSED,
      broken: true,
      advice:
        "the server has no TLS: switch it on there, or leave the ssl options out in a network that you trust",
    };
  }
  if (fatal === true || (typeof code === "string" && code.startsWith("PROTOCOL_"))) return LOST;
  if (error instanceof Error && /closed state|Pool is closed|Connection lost/.test(error.message))
    return LOST;
  return { ...REFUSED, broken: true };
}

type MysqlModule = typeof Mysql;

const typeCast: TypeCast = (field, next) => {
  const value: unknown = next();
  if (field.type === "DATETIME" && typeof value === "string") return normalTime(value);
  return field.type === "TINY" && field.length === 1 && value !== null ? Number(value) !== 0 : value;
};

function poolOptions(address: ServerAddress, options: SourceOptions): PoolOptions {
  return {
    ...(address.socket === null
      ? { host: address.host, port: address.port }
      : { socketPath: address.socket }),
    ...(address.user !== null && { user: address.user }),
    ...(address.password !== null && { password: address.password }),
    database: address.database,
    charset: "utf8mb4",
    ...(address.tls !== null && { ssl: { rejectUnauthorized: true, ...address.tls } as never }),
    // An UPDATE answers how many rows it matched, as Django's connection and the other databases do.
    flags: ["+FOUND_ROWS", "-LOCAL_FILES"],
    connectionLimit: options.poolSize,
    maxIdle: options.poolSize,
    idleTimeout: IDLE_MS,
    connectTimeout: address.connectTimeoutMs ?? options.connectTimeoutMs,
    maxPreparedStatements: PREPARED,
    enableKeepAlive: true,
    dateStrings: true,
    decimalNumbers: true,
    typeCast,
  };
}

export async function openMysql(address: ServerAddress, options: SourceOptions): Promise<ConnectionSource> {
  const { createPool } = await importPeer<MysqlModule>(
    "mysql2",
    "a mysql:// database",
    () => import("mysql2/promise"),
  );
  const pool: Pool = createPool(poolOptions(address, options));
  const prepared = new WeakSet<object>();
  let closing: Promise<void> | null = null;
  return {
    begin: "begin",
    judge: judgeMysql,
    async acquire() {
      const connection = await pool.getConnection();
      const raw = connection.connection;
      if (!prepared.has(raw)) {
        connection.on("error", ignore);
        try {
          await prepareSession(connection, address.redacted);
          prepared.add(raw);
        } catch (error) {
          connection.destroy();
          throw error;
        }
      }
      return new MysqlConnection(connection, options.statementTimeoutMs);
    },
    close: () => {
      closing ??= pool.end();
      return closing;
    },
  };
}

function ignore(): void {}

async function prepareSession(connection: PoolConnection, redacted: string): Promise<void> {
  await connection.query(`SET time_zone = '+00:00', sql_mode = '${SQL_MODE}'`);
  await connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
  const [rows] = await connection.query<RowDataPacket[]>("SELECT VERSION() AS version");
  const version = String(rows[0]?.["version"]);
  const [major = 0, minor = 0] = version.split(".").map((part) => Number.parseInt(part, 10));
  const served = /mariadb/i.test(version) ? major > 10 || (major === 10 && minor >= 5) : major >= 8;
  if (served) return;
  throw new SqlError(
    redacted,
    { ...REFUSED, advice: "update the server" },
    new Error(`version ${version} is too old: MariaDB 10.5 or MySQL 8.0 is needed`),
  );
}

class MysqlConnection implements SourceConnection {
  readonly #connection: PoolConnection;
  readonly #timeoutMs: number;

  constructor(connection: PoolConnection, timeoutMs: number) {
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
  }

  async query(text: string, values: readonly unknown[]): Promise<Answer> {
    const statement = { sql: text, timeout: this.#timeoutMs };
    // Values travel beside the text, never in it. BEGIN and its kin cannot be prepared.
    const [answer] =
      values.length === 0
        ? await this.#connection.query<RowDataPacket[] | ResultSetHeader>(statement)
        : await this.#connection.execute<RowDataPacket[] | ResultSetHeader>(statement, values.map(bound));
    if (Array.isArray(answer)) return { rows: answer, affected: null, insertId: null };
    return {
      rows: [],
      affected: answer.affectedRows,
      insertId: answer.insertId === 0 ? null : answer.insertId,
    };
  }

  release(broken: boolean): void {
    if (broken) this.#connection.destroy();
    else this.#connection.release();
  }
}

/** mysql2 sends numbers as DOUBLE, which MySQL's LIMIT refuses. */
function bound(value: unknown): string | number | boolean | null | Uint8Array {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value;
  return (value ?? null) as string | boolean | null | Uint8Array;
}
