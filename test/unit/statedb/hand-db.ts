/** A state DB that a test plays: it answers when told to, and can be away. */
import { OperationalError } from "../../../src/errors.ts";
import type {
  Checkpoint,
  Follower,
  Revocations,
  StateDb,
  StateSnapshot,
} from "../../../src/statedb/state-db.ts";

export const NOTHING: StateSnapshot = { ids: new Map(), stamps: new Map(), clock: 0, complete: true };

/** Ids as a store that is complete has them. */
export function snapshot(...ids: readonly string[]): StateSnapshot {
  return { ...NOTHING, ids: new Map(ids.map((id) => [id, 0])) };
}

/** Calls wait while `held`, and reject while `away`. */
export class HandDb implements StateDb {
  readonly location: string;
  readonly shared = true;
  /** Calls in their order: `revoke a,b`. */
  readonly calls: string[] = [];
  readonly ids: Set<string> = new Set();
  readonly stamps: Set<string> = new Set();
  away = false;
  snapshot: StateSnapshot = NOTHING;
  /** What `checkpoint` answers. */
  fenced = false;
  readonly checkpoints: { readonly ids: readonly string[] | null; readonly clock: number }[] = [];
  follower: Follower | null = null;
  #gate: Promise<void> = Promise.resolve();

  constructor(location = "hand:") {
    this.location = location;
  }

  /** Calls wait until the returned function is called. */
  hold(): () => void {
    let release: () => void = () => {};
    this.#gate = new Promise((resolve) => {
      release = resolve;
    });
    return release;
  }

  async #call(text: string): Promise<void> {
    this.calls.push(text);
    await this.#gate;
    if (this.away) throw new OperationalError("the store is away", { outcome: "not sent" });
  }

  follow(follower: Follower): void {
    this.follower = follower;
  }

  start(): Promise<void> {
    return this.#call("start");
  }

  async load(max: number): Promise<StateSnapshot> {
    await this.#call(`load ${max}`);
    return this.snapshot;
  }

  async revoke({ ids, stamps }: Revocations): Promise<void> {
    await this.#call(`revoke ${[...ids, ...stamps].join()}`);
    for (const id of ids) this.ids.add(id);
    for (const stamp of stamps) this.stamps.add(stamp);
  }

  async lookUp({ ids, stamps }: Revocations): Promise<Revocations> {
    await this.#call(`look up ${[...ids, ...stamps].join()}`);
    return {
      ids: ids.filter((id) => this.ids.has(id)),
      stamps: stamps.filter((one) => this.stamps.has(one)),
    };
  }

  async checkpoint({ ids, clock }: Checkpoint): Promise<"done" | "fenced"> {
    await this.#call("checkpoint");
    if (this.fenced) return "fenced";
    this.checkpoints.push({ ids: ids === null ? null : [...ids].map(([id]) => id), clock });
    return "done";
  }

  async stop(): Promise<void> {
    this.calls.push("stop");
  }

  overview(): never {
    throw new Error("of an operator");
  }

  show(): never {
    throw new Error("of an operator");
  }

  async purge(): Promise<number> {
    await this.#call("purge");
    const count = this.ids.size;
    this.ids.clear();
    return count;
  }

  forget(): never {
    throw new Error("of an operator");
  }
}
