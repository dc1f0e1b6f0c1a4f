/** What a signature needs of its app, seen from below. */
import type { AsyncResult } from "../app/result-types.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { SendOptions } from "../task/send-types.ts";
import type { SplitOptions } from "./wire-options.ts";

/** Sends and runs signatures. */
export interface SignatureHost {
  /** `call` is complete: partial arguments and options are merged. */
  sendCall(call: Call): Promise<AsyncResult<unknown>>;
  /** Eager mode. */
  applyCall(call: Call): Promise<AsyncResult<unknown>>;
  /** `given` is what the call adds, as the user wrote it. */
  sendCanvas(signature: SignatureData, given: CanvasCall): Promise<AsyncResult<unknown>>;
  /** Eager mode. */
  applyCanvas(signature: SignatureData, given: CanvasCall): Promise<AsyncResult<unknown>>;
  /** Sends what a chord waits for from now on. Its options name the chord. Under the same ids a second time it is no other. */
  addToChord(signature: SignatureData, group: string, newId: () => string): Promise<AsyncResult<unknown>>;
  /** Takes `kw(…)` and undefined arguments apart, as a task of this name does. */
  split(
    task: string,
    given: readonly unknown[],
  ): { readonly args: readonly unknown[]; readonly kwargs: Readonly<Record<string, unknown>> };
}

/** A call of a canvas: it adds to the signature. */
export interface CanvasCall {
  readonly args: readonly unknown[];
  readonly options: SendOptions | undefined;
}

/** One send, all merged. */
export interface Call extends SplitOptions {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}
