/** PostgreSQL over the package `pg`. */
import type * as Pg from "pg";
import type { Client, ClientConfig, PoolClient, QueryResult } from "pg";
import { importPeer } from "../base/import-peer.ts";
import { codeOf, SqlError, type Verdict, verdictOfSocket } from "./errors.ts";
import type { Answer, ConnectionSource, SourceConnection, SourceOptions } from "./source.ts";
import { normalTime } from "./time.ts";
import type { ServerAddress } from "./url.ts";

const OLDEST = 130_000;
const IDLE_MS = 30_000;

/** Numbers of types in pg_type -> how their texts are read; all others as pg does. */
const TIMESTAMPTZ = 1184;
const INT8 = 20;
const NUMERIC = 1700;

/** SQLSTATE, or its class -> what it means. The longest that fits decides. */
const STATES: Readonly<Record<string, Verdict>> = {
  "08": { kind: "unreachable", outcome: "unknown", broken: true },
  "25006": {
    kind: "unreachable",
    outcome: "not sent",
    broken: true,
    advice: "the server takes no writes: it is a standby, or set so",
  },
  "28": {
    kind: "refused",
    outcome: "not sent",
    broken: true,
    advice: "check user, password and pg_hba.conf",
  },
  "40": { kind: "busy", outcome: "not sent", broken: false },
  "40003": { kind: "unreachable", outcome: "unknown", broken: true },
  "53": {
    kind: "unreachable",
    outcome: "not sent",
    broken: true,
    advice: "the server is out of connections, memory or disk",
  },
  "55P03": { kind: "busy", outcome: "not sent", broken: false },
  "57014": { kind: "busy", outcome: "not sent", broken: false },
  "57P": { kind: "unreachable", outcome: "not sent", broken: true },
  "57P02": { kind: "unreachable", outcome: "unknown", broken: true },
  "58": { kind: "unreachable", outcome: "unknown", broken: true },
  "23505": { kind: "conflict", outcome: "not sent", broken: false },
  "42P01": { kind: "missing", outcome: "not sent", broken: false },
  "42703": { kind: "missing", outcome: "not sent", broken: false },
  "42501": {
    kind: "refused",
    outcome: "not sent",
    broken: false,
    advice:
      "grant this user SELECT, INSERT, UPDATE and DELETE on the tables; to make them, CREATE on their schema",
  },
};
const REFUSED: Verdict = { kind: "refused", outcome: "not sent", broken: false };
const LOST: Verdict = { kind: "unreachable", outcome: "unknown", broken: true };

export function judgePostgres(error: unknown): Verdict {
  const code = codeOf(error);
  if (
    code !== null &&
    /^[0-9A-Z]{5}$/.test(code) &&
    (error as { severity?: unknown }).severity !== undefined
  ) {
    for (const length of [5, 3, 2]) {
      const verdict = STATES[code.slice(0, length)];
      if (verdict !== undefined) return verdict;
    }
    return REFUSED;
  }
  const socket = verdictOfSocket(error);
  if (socket !== null) return socket;
  // pg has no codes for its own: connections that ended, timeouts, a server that speaks no TLS.
  const text = error instanceof Error ? error.message : "";
  if (/does not support SSL/.test(text)) {
    return {
      ...REFUSED,
      broken: true,
      advice: "the server has no TLS: switch it on there, or say sslmode=disable in a network that you trust",
    };
  }
  if (/timeout|terminated|connection|ended|closed/i.test(text)) return LOST;
  return { ...REFUSED, broken: true };
}

export function clientConfig(address: ServerAddress, parse: Parsers): ClientConfig {
  return {
    host: address.socket ?? address.host,
    port: address.port,
    ...(address.user !== null && { user: address.user }),
    // A function: where there is none pg would look into the environment and ~/.pgpass, as libpq does.
    ...(address.password !== null && { password: address.password }),
    database: address.database,
    ssl: address.tls ?? false,
    application_name: address.applicationName ?? "petiole",
    ...(address.sessionOptions !== null && { options: address.sessionOptions }),
    keepAlive: true,
    types: { getTypeParser: parse as never },
  };
}

export type Parsers = (oid: number, format?: "text" | "binary") => (value: string) => unknown;

export type PgModule = typeof Pg;

export async function loadPg(): Promise<PgModule> {
  const module = await importPeer<PgModule & { readonly default?: PgModule }>(
    "pg",
    "a postgresql:// database",
    () => import("pg"),
  );
  return module.default ?? module;
}

export function parsersOf(pg: PgModule): Parsers {
  return (oid, format) => {
    if (oid === TIMESTAMPTZ) return normalTime;
    if (oid === INT8 || oid === NUMERIC) return Number;
    return (pg.types as { getTypeParser: Parsers }).getTypeParser(oid, format);
  };
}

/** What a session needs, and whether the server is one that is served. */
export async function prepareClient(client: Client | PoolClient, redacted: string): Promise<void> {
  // By statements: poolers refuse these as parameters of the start.
  const answers = (await client.query(
    "SET TIME ZONE 'UTC'; SET DateStyle = 'ISO'; SHOW server_version_num",
  )) as unknown as readonly QueryResult<{ server_version_num: string }>[];
  const version = Number(answers[2]?.rows[0]?.server_version_num);
  if (version >= OLDEST) return;
  throw new SqlError(
    redacted,
    { ...REFUSED, advice: "update the server" },
    new Error(`PostgreSQL ${Math.floor(version / 10_000)} is too old: 13 or newer is needed`),
  );
}

export async function openPostgres(
  address: ServerAddress,
  options: SourceOptions,
): Promise<ConnectionSource> {
  const pg = await loadPg();
  const pool = new pg.Pool({
    ...clientConfig(address, parsersOf(pg)),
    max: options.poolSize,
    connectionTimeoutMillis: address.connectTimeoutMs ?? options.connectTimeoutMs,
    query_timeout: options.statementTimeoutMs,
    idleTimeoutMillis: IDLE_MS,
  });
  // Of idle ones: the pool has dropped them already.
  pool.on("error", ignore);
  const prepared = new WeakSet<PoolClient>();
  let closing: Promise<void> | null = null;
  return {
    begin: "begin",
    judge: judgePostgres,
    async acquire() {
      const client = await pool.connect();
      // What breaks the connection is told by the next statement: without a listener it would end the process.
      client.on("error", ignore);
      if (!prepared.has(client)) {
        try {
          await prepareClient(client, address.redacted);
          prepared.add(client);
        } catch (error) {
          client.off("error", ignore);
          client.release(true);
          throw error;
        }
      }
      return new PostgresConnection(client);
    },
    close: () => {
      closing ??= pool.end();
      return closing;
    },
  };
}

function ignore(): void {}

class PostgresConnection implements SourceConnection {
  readonly #client: PoolClient;

  constructor(client: PoolClient) {
    this.#client = client;
  }

  async query(text: string, values: readonly unknown[]): Promise<Answer> {
    const { rows, rowCount, command } = await this.#client.query(text, values as unknown[]);
    if (command === "ROLLBACK" && text === "commit") {
      throw new Error(
        "a statement of the transaction had failed, and its error was caught: nothing is stored",
      );
    }
    return { rows, affected: command === "SELECT" ? null : rowCount, insertId: null };
  }

  release(broken: boolean): void {
    this.#client.off("error", ignore);
    this.#client.release(broken);
  }
}
