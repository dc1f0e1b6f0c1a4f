/**
 * What waits for the commit of the transaction that is open here. A scope belongs to one transaction or savepoint, and is seen by all that
 * is called below it.
 *
 * | scope       | onCommit             | it ends by              |
 * |-------------|----------------------|-------------------------|
 * | open        | waits                | commit, release, rollback |
 * | released (a savepoint) | waits with the scope around it | as that one |
 * | committed   | runs at once         |                         |
 * | rolled back | is dropped           |                         |
 */
import { AsyncLocalStorage } from "node:async_hooks";

interface Hook {
  readonly run: () => Promise<unknown>;
  /** false: its error is thrown by the transaction. */
  readonly robust: boolean;
  /** Hears of an error of a robust one. */
  readonly failed: (error: unknown) => void;
}

export class CommitScope {
  /** null: a transaction; else the scope that a savepoint is in. */
  readonly #around: CommitScope | null;
  #state: "open" | "released" | "committed" | "rolled back" = "open";
  #hooks: Hook[] = [];

  constructor(around: CommitScope | null) {
    this.#around = around;
  }

  add(hook: Hook): void {
    if (this.#state === "open") this.#hooks.push(hook);
    else if (this.#state === "released") this.#around?.add(hook);
    else if (this.#state === "committed") runAtOnce(hook);
  }

  /** The savepoint is released: what waits for it waits for what is around it. */
  released(): void {
    this.#state = "released";
    for (const hook of this.#hooks.splice(0)) this.#around?.add(hook);
  }

  /** Drops what waits; how many that were. */
  rolledBack(): number {
    this.#state = "rolled back";
    return this.#hooks.splice(0).length;
  }

  /** Runs what waits, in order. Rejects with the first error of one that is not robust, after all have run. */
  async committed(): Promise<void> {
    this.#state = "committed";
    const failures: unknown[] = [];
    for (const hook of this.#hooks.splice(0)) {
      try {
        await outside(hook.run);
      } catch (error) {
        if (hook.robust) hook.failed(error);
        else failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

const scopes = new AsyncLocalStorage<CommitScope | undefined>();

/** The scope of what runs now. */
export function currentScope(): CommitScope | undefined {
  return scopes.getStore();
}

/** Runs `fn` so that all below it sees the scope. */
export function within<T>(scope: CommitScope, fn: () => T): T {
  return scopes.run(scope, fn);
}

/** Runs it after the commit; at once where no transaction is open. */
export function afterCommit(hook: Hook): void {
  const scope = currentScope();
  if (scope === undefined) runAtOnce(hook);
  else scope.add(hook);
}

function outside<T>(run: () => T): T {
  return scopes.run(undefined, run);
}

function runAtOnce({ run, failed }: Hook): void {
  outside(run).catch(failed);
}
