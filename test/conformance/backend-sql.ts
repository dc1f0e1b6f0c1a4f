/** The backend on a SQL database, as the suite needs it. */

import { openBackend } from "../../src/backends/index.ts";
import type { SqlBackend } from "../../src/backends/sql/index.ts";
import type { ResultDb } from "../../src/backends/sql/own-tables.ts";
import { isReady } from "../../src/protocol/states.ts";
import { type ResultMeta } from "../../src/protocol/wire.ts";
import { openDatabase, sqlTime } from "../../src/sql/index.ts";
import { normalTime } from "../../src/sql/time.ts";
import { openTransport } from "../../src/transports/index.ts";
import { dropMemoryBroker } from "../../src/transports/memory/index.ts";
import { backendOptions } from "../support/backend-options.ts";
import { transportOptions } from "../support/redis-transport.ts";
import { makeResultTables } from "../support/result-tables.ts";
import { PREFIX } from "./backend/harness.ts";
import type { BackendStore } from "./backend.ts";

export interface SqlServer {
  /** With `db+`. */
  readonly url: string;
  /** The server stops without warning, or another process has its lock. */
  crash(): Promise<void>;
  restart(): Promise<void>;
  cutWatchers?(): Promise<void>;
  stop(): Promise<void>;
}

interface ServerProcess {
  /** Answers its URL. */
  createDatabase(name: string): Promise<string>;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** In a new database of a server that nobody else uses. */
export async function serverStore(
  server: ServerProcess,
  more: Pick<SqlServer, "cutWatchers"> = {},
): Promise<BackendStore> {
  const url = `db+${await server.createDatabase("results")}`;
  await makeResultTables(url);
  return sqlStore({
    url,
    crash: () => server.kill(),
    restart: () => server.restart(),
    stop: () => server.stop(),
    ...more,
  });
}

const CHORD = /^celery-taskset-meta-(.*)\.(s|j|t|seen|sent)$/su;
const LOG = "petiole-task-log-";
/** Of rows: all of their time is before them. */
const WHOLE_TIME = 86_400;

export async function sqlStore(server: SqlServer): Promise<BackendStore> {
  const database = await openDatabase(server.url);
  const db = database.db as unknown as ResultDb;
  const made: SqlBackend[] = [];
  const broker = `beside-${process.pid}`;
  const options = backendOptions(server.url);
  const counted = async (table: "petiole_chord_part" | "petiole_task_log", where: string, id: string) => {
    const { n } = await db
      .selectFrom(table)
      .select((eb) => eb.fn.countAll<number>().as("n"))
      .where(where as never, "=", id as never)
      .executeTakeFirstOrThrow();
    return n;
  };
  return {
    async create(overrides) {
      const backend = await openBackend({ ...options, ...overrides });
      made.push(backend as SqlBackend);
      return backend;
    },
    transport: () => openTransport(transportOptions(`memory://${broker}`)),
    raw: {
      async get(key) {
        const [, group, part] = CHORD.exec(key) ?? [];
        if (group !== undefined && part === "s") {
          const chord = await db
            .selectFrom("petiole_chord")
            .selectAll()
            .where("group_id", "=", group)
            .executeTakeFirst();
          return chord?.ended === 1 ? "0" : null;
        }
        const id = key.slice(PREFIX.length);
        const row = await db
          .selectFrom("django_celery_results_taskresult")
          .select("result")
          .where("task_id", "=", id)
          .executeTakeFirst();
        return row?.result ?? null;
      },
      async set(key, text) {
        const row = rowOf(key.slice(PREFIX.length), text);
        await db.deleteFrom("django_celery_results_taskresult").where("task_id", "=", row.task_id).execute();
        await db.insertInto("django_celery_results_taskresult").values(row).execute();
      },
      async ttl(key) {
        const [, group, part] = CHORD.exec(key) ?? [];
        if (group !== undefined && part !== "s")
          return (await counted("petiole_chord_part", "group_id", group)) > 0 ? WHOLE_TIME : -2;
        if (key.startsWith(LOG))
          return (await counted("petiole_task_log", "task_id", key.slice(LOG.length))) > 0 ? WHOLE_TIME : -2;
        return (await this.get(key)) === null ? -2 : WHOLE_TIME;
      },
      listening: async () => made.reduce((sum, one) => sum + one.watched, 0),
    },
    keeps,
    rows: true,
    ...(database.dialect !== "postgresql" && { polls: true }),
    async endChordLeases() {
      await db
        .updateTable("petiole_chord")
        .set({ claimed_until: 0 })
        .where("claimed_until", "is not", null)
        .execute();
    },
    advance: () => {},
    crash: () => server.crash(),
    restart: () => server.restart(),
    ...(server.cutWatchers !== undefined && { cutWatchers: () => server.cutWatchers?.() as Promise<void> }),
    async stop() {
      dropMemoryBroker(broker);
      await database.close();
      await server.stop();
    },
  };
}

/** Django's columns have no place for `extra`, unless the worker knows the task. */
function keeps(stored: ResultMeta): ResultMeta {
  return { ...stored, extra: {}, dateDone: isReady(stored.status) ? stored.dateDone : null };
}

/** What is no result of Celery's becomes a row that cannot be read. */
function rowOf(id: string, text: string) {
  const now = sqlTime(Date.now());
  const row = {
    task_id: id,
    content_type: "application/json",
    content_encoding: "utf-8",
    traceback: null,
    task_args: null,
    task_kwargs: null,
    task_name: null,
    worker: null,
    date_created: now,
    periodic_task_name: null,
    date_started: null,
  };
  const meta = parsed(text);
  if (typeof meta["status"] !== "string")
    return { ...row, status: "FAILURE", result: `{${text}`, meta: null, date_done: now };
  const result = /"result":\s*(.*?),\s*"(?:__proto__|traceback|status|task_id)"/su.exec(text)?.[1];
  return {
    ...row,
    status: meta["status"],
    result: result ?? JSON.stringify(meta["result"] ?? null),
    traceback: (meta["traceback"] as string | undefined) ?? null,
    meta: JSON.stringify({ children: meta["children"] ?? null }),
    date_done: typeof meta["date_done"] === "string" ? normalTime(meta["date_done"]) : now,
  };
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}
