import type { AsyncResult } from "../app/result-types.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { ErrorCallback, SendOptions } from "../task/send-types.ts";

export type { SignatureData };

/**
 * A call that is not made yet: what it still needs in front, and what it gives. Immutable: `set`, `link` and
 * `linkError` return a new signature.
 */
export interface Signature<in P extends readonly unknown[], out R> {
  /** The task's name. */
  readonly task: string;
  /** Its own arguments: the last ones of the call. */
  readonly args: readonly unknown[];
  /** Its keyword arguments. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** How it is sent. */
  readonly options: SendOptions;
  /** What kind of canvas it is; `null`: a single task. */
  readonly subtaskType: "chain" | "group" | "chord" | "chunks" | "xmap" | "xstarmap" | null;
  /** It ignores what comes before it. */
  readonly immutable: boolean;
  /** Sends it, with what it still needs. */
  delay(...args: P): Promise<AsyncResult<R>>;
  /** Sends it with options, which win over its own. */
  applyAsync(args: P, options?: SendOptions): Promise<AsyncResult<R>>;
  /** With further options; given ones win. */
  set(options: SendOptions): this;
  /** Also send `callback` with the result. */
  link(callback: Signature<[result: R], unknown>): this;
  /** Also send `errback` when it fails. */
  linkError(errback: ErrorCallback): this;
  /** Celery's JSON form. */
  toJSON(): SignatureData;
}

/** A signature that ignores what comes before it. */
export interface ImmutableSignature<out R> extends Signature<unknown[], R> {}

/** A signature of whatever needs. */
export type AnySignature = Signature<any, unknown>;
