/** What users hold of a task. Counterpart: `celery/app/task.py`; ours is not callable, `run` calls the function. */
import type { Celery } from "../app/app.ts";
import type { AsyncResult } from "../app/result-types.ts";
import type { CanvasSignature, TaskSignature } from "../canvas/signature.ts";
import type { OnCommitSendOptions, SendOptions } from "./send-types.ts";

/** Many calls of one task in one message, or in several. */
export type MapOf =
  | { readonly kind: "xmap" | "xstarmap"; readonly items: readonly unknown[] }
  | { readonly kind: "chunks"; readonly items: readonly unknown[]; readonly size: number };

/** What a task needs of its app. Arguments are as the user wrote them: `kw(…)` and undefined are still in. */
export interface TaskHost {
  /** The app that a call of this task goes to. */
  appOf(task: string): Celery;
  send(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>>;
  /** Sent after the commit of the transaction around it. */
  sendOnCommit(
    task: string,
    given: readonly unknown[],
    options: OnCommitSendOptions | undefined,
  ): AsyncResult<unknown>;
  sendMany(task: string, calls: readonly (readonly unknown[])[]): Promise<readonly AsyncResult<unknown>[]>;
  sign(task: string, given: readonly unknown[], immutable: boolean): TaskSignature;
  signMap(task: string, map: MapOf): TaskSignature | CanvasSignature;
  run(task: string, given: readonly unknown[]): Promise<unknown>;
  apply(
    task: string,
    given: readonly unknown[],
    options: SendOptions | undefined,
  ): Promise<AsyncResult<unknown>>;
  result(task: string, id: string): AsyncResult<unknown>;
}

/** A task by its name: what `app.remote` gives. The public type is `RemoteTask`. */
export class RemoteHandle {
  readonly name: string;
  readonly #host: TaskHost;

  constructor(name: string, host: TaskHost) {
    this.name = name;
    this.#host = host;
  }

  get app(): Celery {
    return this.#host.appOf(this.name);
  }

  delay(...args: readonly unknown[]): Promise<AsyncResult<unknown>> {
    return this.#host.send(this.name, args, undefined);
  }

  applyAsync(args: readonly unknown[], options?: SendOptions): Promise<AsyncResult<unknown>> {
    return this.#host.send(this.name, args, options);
  }

  delayOnCommit(...args: readonly unknown[]): AsyncResult<unknown> {
    return this.#host.sendOnCommit(this.name, args, undefined);
  }

  applyAsyncOnCommit(args: readonly unknown[], options?: OnCommitSendOptions): AsyncResult<unknown> {
    return this.#host.sendOnCommit(this.name, args, options);
  }

  delayMany(calls: readonly (readonly unknown[])[]): Promise<readonly AsyncResult<unknown>[]> {
    return this.#host.sendMany(this.name, calls);
  }

  s(...args: readonly unknown[]): TaskSignature {
    return this.#host.sign(this.name, args, false);
  }

  si(...args: readonly unknown[]): TaskSignature {
    return this.#host.sign(this.name, args, true);
  }

  map(items: readonly unknown[]): TaskSignature | CanvasSignature {
    return this.#host.signMap(this.name, { kind: "xmap", items });
  }

  starmap(items: readonly (readonly unknown[])[]): TaskSignature | CanvasSignature {
    return this.#host.signMap(this.name, { kind: "xstarmap", items });
  }

  chunks(items: readonly (readonly unknown[])[], n: number): TaskSignature | CanvasSignature {
    if (!Number.isSafeInteger(n) || n < 1)
      throw new TypeError(
        `chunks of ${this.name} need a size of 1 or more, a whole number, not ${String(n)}`,
      );
    return this.#host.signMap(this.name, { kind: "chunks", items, size: n });
  }

  asyncResult(id: string): AsyncResult<unknown> {
    return this.#host.result(this.name, id);
  }
}

/** A task of this process. The public type is `Task`. */
export class TaskHandle extends RemoteHandle {
  readonly #host: TaskHost;

  constructor(name: string, host: TaskHost) {
    super(name, host);
    this.#host = host;
  }

  run(...args: readonly unknown[]): Promise<unknown> {
    return this.#host.run(this.name, args);
  }

  apply(args: readonly unknown[], options?: SendOptions): Promise<AsyncResult<unknown>> {
    return this.#host.apply(this.name, args, options);
  }
}
