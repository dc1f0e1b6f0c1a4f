/**
 * The client's half of the state DB: a revoke is in the shared set before workers are told, so that those that are down, new or
 * renamed know of it. Nothing is loaded and nothing connects where no state DB is configured.
 */
import type { ResultBackend } from "../backends/backend.ts";
import type { Clock } from "../base/clock.ts";
import { OperationalError, PetioleError } from "../errors.ts";
import { revokedMeta } from "../protocol/meta.ts";
import type { Revocations, StateDb } from "../statedb/state-db.ts";

export interface SharedRevokesHost {
  readonly clock: Clock;
  /** null: none is configured. */
  openStateDb(): Promise<StateDb | null>;
  backend(): Promise<ResultBackend>;
}

export class SharedRevokes {
  readonly #host: SharedRevokesHost;
  #opening: Promise<StateDb | null> | null = null;

  constructor(host: SharedRevokesHost) {
    this.#host = host;
  }

  /** false: no state DB is configured, or it is not shared. @throws OperationalError */
  async write(revoked: Revocations): Promise<boolean> {
    this.#opening ??= this.#open();
    const db = await this.#opening;
    if (db === null || !db.shared) return false;
    await db.revoke(revoked);
    return true;
  }

  /** Where no worker is there to do so. */
  async markRevoked(ids: readonly string[]): Promise<void> {
    let backend: ResultBackend;
    try {
      backend = await this.#host.backend();
    } catch (error) {
      if (error instanceof PetioleError && error.code === "PET_BACKEND_DISABLED") return;
      throw error;
    }
    const nowMs = this.#host.clock.now();
    await Promise.all(ids.map((id) => backend.store(backend.encode(revokedMeta(id, nowMs)), null)));
  }

  async close(): Promise<void> {
    const db = await this.#opening?.catch(() => null);
    await db?.stop();
  }

  #open(): Promise<StateDb | null> {
    const opening = this.#host.openStateDb();
    opening.catch(() => {
      if (this.#opening === opening) this.#opening = null;
    });
    return opening;
  }
}

/** Workers were told, and the state DB was not. */
export function notShared(cause: unknown): OperationalError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new OperationalError(
    `the workers that are online were told to revoke, and the state DB does not have it: ${reason}; call again, or workers that start later will run it`,
    { cause, outcome: "unknown" },
  );
}
