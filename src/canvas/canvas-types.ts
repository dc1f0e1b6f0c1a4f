import type { AsyncResult, GroupResult } from "../app/result-types.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { ErrorCallback, SendOptions } from "../task/send-types.ts";
import type { Seconds } from "../task/sendable-types.ts";
import type { StampingVisitor, StampOptions, Stamps } from "./visitor.ts";

export type { SignatureData };

/**
 * A call that is not made yet: what it still needs in front, and what it gives. Immutable: `set`, `link`, `linkError` and
 * `stamp` return a new signature.
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
  /** Eager mode: runs here, without a broker. */
  apply(args: P, options?: SendOptions): Promise<AsyncResult<R>>;
  /** This one and then `next`, which gets the result as its first argument. A group piped into a task is a chord. */
  pipe<N>(next: Signature<[result: R], N>): Signature<P, N>;
  /** The same once more: signatures do not change. */
  clone(): this;
  /** With all that it still needs, and further options: sent later without arguments. */
  clone(args: P, options?: SendOptions): Signature<[], R>;
  /** With further options; given ones win. */
  set(options: SendOptions): this;
  /** Also send `callback` with the result. */
  link(callback: Signature<[result: R], unknown>): this;
  /** Also send `errback` when it fails. */
  linkError(errback: ErrorCallback): this;
  /** {@link linkError}. */
  onError(errback: ErrorCallback): this;
  /** Stamped as the visitor says. */
  stamp(visitor: StampingVisitor, options?: StampOptions): this;
  /** With stamps: headers by which its tasks can be found and revoked. They go to all of its tasks, and to what is linked to them. */
  stamp(stamps: Stamps, options?: Pick<StampOptions, "appendStamps">): this;
  /** Celery's JSON form. */
  toJSON(): SignatureData;
}

/** A signature that ignores what comes before it. */
export interface ImmutableSignature<out R> extends Signature<unknown[], R> {}

/** Signatures side by side: each member gets the same arguments. */
export interface Group<in P extends readonly unknown[], out T extends readonly unknown[]>
  extends Signature<P, T> {
  /** Its members, plain. */
  readonly tasks: readonly SignatureData[];
  delay(...args: P): Promise<GroupResult<T>>;
  applyAsync(args: P, options?: SendOptions): Promise<GroupResult<T>>;
  apply(args: P, options?: SendOptions): Promise<GroupResult<T>>;
  clone(): this;
  clone(args: P, options?: SendOptions): Group<[], T>;
  /** Spreads the starts: countdown `start`, `start + step`, … up to `stop`. Seconds. By default 1, 2, 3, … */
  skew(start?: Seconds, stop?: Seconds, step?: Seconds): this;
}

/** A signature of whatever needs. */
export type AnySignature = Signature<any, unknown>;
