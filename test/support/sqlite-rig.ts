/** A file of its own, transports on it, and connections past them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Handle, loadDriver } from "../../src/sqlite/driver.ts";
import type { TransportOptions } from "../../src/transports/transport.ts";
import { type Holding, killHolder } from "./lost-holder.ts";
import { transportOptions } from "./redis-transport.ts";

export interface SqliteRig {
  readonly path: string;
  readonly url: string;
  /** A connection of the tests' own; the tables are there once a transport was started. */
  raw(): Handle;
  options(overrides?: Partial<TransportOptions>): TransportOptions;
  stop(): Promise<void>;
}

export async function sqliteRig(): Promise<SqliteRig> {
  const folder = await mkdtemp(join(tmpdir(), "petiole-sqlite-"));
  const path = join(folder, "test.db");
  const url = `sqlite://${path}`;
  const open = await loadDriver();
  let handle: Handle | null = null;
  return {
    path,
    url,
    raw() {
      handle ??= open(path, { timeout: 5000 });
      return handle;
    },
    options: (overrides = {}) => transportOptions(url, overrides),
    async stop() {
      handle?.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A process of its own takes messages, and is killed with SIGKILL. Answers the ids that it took. */
export function loseSqliteHolder(rig: SqliteRig, lost: Holding): Promise<readonly string[]> {
  return killHolder(
    { file: "transports/sqlite/index.js", name: "openSqliteTransport", options: rig.options() },
    lost,
  );
}
