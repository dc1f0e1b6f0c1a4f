/** What the suite needs of a state DB, and helpers that clean up after each test. */
import { afterAll, afterEach, beforeAll } from "vitest";
import type { Revocations, StateDb, StateDbOptions } from "../../../src/statedb/state-db.ts";

export interface StateStore {
  /** Not started. Options of the same `url` are the same store; each test has its own. */
  create(place: string, overrides: Partial<StateDbOptions>): Promise<StateDb>;
  /** Time goes by for everything that is stored. */
  passes(seconds: number): Promise<void>;
  /** The process of this one is gone, without a word. */
  crash(db: StateDb): Promise<void>;
  /** The store ends and starts again with its data. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export const NODE = "w1@host";

export function ids(...names: readonly string[]): Revocations {
  return { ids: names, stamps: [] };
}

export function stamps(...names: readonly string[]): Revocations {
  return { ids: [], stamps: names };
}

/** One per describe. */
export class StateSuite {
  #store: StateStore | null = null;
  #opened: StateDb[] = [];
  #count = 0;

  constructor(makeStore: () => Promise<StateStore>) {
    beforeAll(async () => {
      this.#store = await makeStore();
    });
    afterEach(async () => {
      const all = this.#opened;
      this.#opened = [];
      await Promise.all(all.map((db) => db.stop()));
    });
    afterAll(() => this.#store?.stop());
  }

  get store(): StateStore {
    if (this.#store === null) throw new Error("the store is not up");
    return this.#store;
  }

  /** Where one test keeps its state. */
  place(): string {
    this.#count += 1;
    return `place-${this.#count}`;
  }

  async create(place: string, overrides: Partial<StateDbOptions> = {}): Promise<StateDb> {
    const db = await this.store.create(place, { node: NODE, ...overrides });
    this.#opened.push(db);
    return db;
  }

  /** Started; stopped after the test. */
  async open(place: string, overrides: Partial<StateDbOptions> = {}): Promise<StateDb> {
    const db = await this.create(place, overrides);
    await db.start(new AbortController().signal);
    return db;
  }

  /** As {@link open}, after the one before has stopped. */
  async reopened(db: StateDb, place: string, overrides: Partial<StateDbOptions> = {}): Promise<StateDb> {
    await db.stop();
    return this.open(place, overrides);
  }
}
