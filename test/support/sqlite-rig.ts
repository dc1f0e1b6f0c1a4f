/** A file of its own, transports on it, and connections past them. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../src/protocol/wire.ts";
import { type Handle, loadDriver } from "../../src/sqlite/driver.ts";
import type { TransportOptions } from "../../src/transports/transport.ts";
import { built } from "./built.ts";

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
    options: (overrides = {}) => ({
      url,
      tls: null,
      options: {},
      role: "worker",
      logger: silentLogger,
      clock: systemClock,
      limits: DEFAULT_LIMITS,
      defaultQueue: "celery",
      clientName: null,
      ...overrides,
    }),
    async stop() {
      handle?.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A process of its own takes messages, and is killed with SIGKILL. Answers the ids that it took. */
export async function loseSqliteHolder(
  rig: SqliteRig,
  lost: { readonly queue: string; readonly count: number; readonly markStarted?: boolean },
): Promise<readonly string[]> {
  const child = fork(fileURLToPath(new URL("./lost-sqlite-holder.mjs", import.meta.url)), {
    stdio: "inherit",
  });
  const { clock: _clock, logger: _logger, ...options } = rig.options();
  child.send({ ...lost, options, dist: built("") });
  const [ids] = (await once(child, "message")) as [readonly string[]];
  child.kill("SIGKILL");
  await once(child, "exit");
  return ids;
}
