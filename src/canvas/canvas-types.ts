import type { AsyncResult } from "../app/result-types.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { ErrorCallback, SendOptions } from "../task/send-types.ts";

export type { SignatureData };

/**
 * A call that is not made yet: what it still needs in front, and what it gives. Immutable: `set`, `link` and
 * `linkError` return a new signature.
 */
export interface Signature<in P extends readonly unknown[], out R> {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly options: SendOptions;
  readonly subtaskType: "chain" | "group" | "chord" | "chunks" | "xmap" | "xstarmap" | null;
  readonly immutable: boolean;
  /** Sends it, with what it still needs. */
  delay(...args: P): Promise<AsyncResult<R>>;
  applyAsync(args: P, options?: SendOptions): Promise<AsyncResult<R>>;
  set(options: SendOptions): this;
  /** Also send `callback` with the result. */
  link(callback: Signature<[result: R], unknown>): this;
  linkError(errback: ErrorCallback): this;
  /** Celery's JSON form. */
  toJSON(): SignatureData;
}

/** A signature that ignores what comes before it. */
export interface ImmutableSignature<out R> extends Signature<unknown[], R> {}

/** A signature of whatever needs. */
export type AnySignature = Signature<any, unknown>;
