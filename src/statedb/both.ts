/** A worker's state on Redis and in a file at once: what either holds is revoked, and both are written. */
import type {
  Aged,
  Checkpoint,
  Follower,
  ForgottenNode,
  Revocations,
  ShownState,
  StateDb,
  StateOverview,
  StateSnapshot,
} from "./state-db.ts";

export class BothStateDbs implements StateDb {
  readonly location: string;
  readonly shared: boolean;
  readonly #main: StateDb;
  readonly #file: StateDb;

  constructor(main: StateDb, file: StateDb) {
    this.#main = main;
    this.#file = file;
    this.location = `${main.location} and ${file.location}`;
    this.shared = main.shared;
  }

  follow(follower: Follower): void {
    this.#main.follow(follower);
  }

  async start(signal: AbortSignal): Promise<void> {
    // The file first: a lock that another has is final, an absent server is not.
    await this.#file.start(signal);
    await this.#main.start(signal);
  }

  async load(max: number): Promise<StateSnapshot> {
    const [main, file] = await Promise.all([this.#main.load(max), this.#file.load(max)]);
    const ids = merged(file.ids, main.ids);
    const stamps = merged(file.stamps, main.stamps);
    const complete = main.complete && file.complete && ids.size <= max && stamps.size <= max;
    return {
      ids: newest(ids, max),
      stamps: newest(stamps, max),
      clock: Math.max(main.clock, file.clock),
      complete,
    };
  }

  async revoke(revoked: Revocations): Promise<void> {
    await Promise.all([this.#main.revoke(revoked), this.#file.revoke(revoked)]);
  }

  async lookUp(asked: Revocations): Promise<Revocations> {
    const [main, file] = await Promise.all([this.#main.lookUp(asked), this.#file.lookUp(asked)]);
    return {
      ids: [...new Set([...main.ids, ...file.ids])],
      stamps: [...new Set([...main.stamps, ...file.stamps])],
    };
  }

  async checkpoint(state: Checkpoint): Promise<"done" | "fenced"> {
    const ends = await Promise.all([this.#main.checkpoint(state), this.#file.checkpoint(state)]);
    return ends.includes("fenced") ? "fenced" : "done";
  }

  async stop(): Promise<void> {
    await Promise.all([this.#main.stop(), this.#file.stop()]);
  }

  overview(): Promise<StateOverview> {
    return this.#main.overview();
  }

  show(node: string | null, limit: number): Promise<ShownState> {
    return this.#main.show(node, limit);
  }

  async purge(options: { readonly olderThanSeconds: number; readonly node: string | null }): Promise<number> {
    const counts = await Promise.all([this.#main.purge(options), this.#file.purge(options)]);
    return Math.max(...counts);
  }

  forget(node: string, options: { readonly merge: boolean }): Promise<ForgottenNode> {
    return this.#main.forget(node, options);
  }
}

/** The younger age of each, oldest first. */
function merged(one: Aged, other: Aged): Map<string, number> {
  const ages = new Map(one);
  for (const [member, age] of other) ages.set(member, Math.min(age, ages.get(member) ?? age));
  return new Map([...ages].toSorted((a, b) => b[1] - a[1]));
}

function newest(aged: Aged, max: number): Aged {
  return aged.size <= max ? aged : new Map([...aged].slice(aged.size - max));
}
