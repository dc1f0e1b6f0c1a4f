/** A call that is not made yet. Counterpart: `celery/canvas.py`, `Signature`; ours is immutable. */
import type { AsyncResult } from "../app/result-types.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { SendOptions } from "../task/send-types.ts";
import type { Signature } from "./canvas-types.ts";
import { assertPlain, canvasFeature } from "./plain.ts";
import {
  type CallOptions,
  joinWireOptions,
  type Linked,
  mergeOptions,
  type SplitOptions,
  splitWireOptions,
} from "./wire-options.ts";

/** What a signature needs to be sent: an app, seen from below. */
export interface SignatureHost {
  /** `call` is complete: partial arguments and options are merged. */
  sendCall(call: Call): Promise<AsyncResult<unknown>>;
  /** Takes `kw(…)` and undefined arguments apart, as a task of this name does. */
  split(
    task: string,
    given: readonly unknown[],
  ): { readonly args: readonly unknown[]; readonly kwargs: Readonly<Record<string, unknown>> };
}

/** One send, all merged. */
export interface Call extends SplitOptions {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
}

/** What a signature is made of. */
export interface SignatureParts extends Call {
  readonly immutable: boolean;
}

/** A real symbol of all copies of petiole, so that {@link isSignature} holds across them. */
const brand = Symbol.for("petiole.signature");

const NOTHING: SplitOptions = { options: {}, extra: null };

/** The one implementation of {@link Signature}. Frozen. */
export class TaskSignature implements Signature<readonly unknown[], unknown> {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly immutable: boolean;
  readonly subtaskType: null = null;
  readonly #host: SignatureHost;
  readonly #split: SplitOptions;

  static {
    Object.defineProperty(this.prototype, brand, { value: true });
  }

  constructor(host: SignatureHost, parts: SignatureParts) {
    this.#host = host;
    this.task = parts.task;
    this.args = Object.isFrozen(parts.args) ? parts.args : Object.freeze([...parts.args]);
    this.kwargs = Object.isFrozen(parts.kwargs) ? parts.kwargs : Object.freeze({ ...parts.kwargs });
    this.immutable = parts.immutable;
    this.#split = { options: parts.options, extra: parts.extra };
    Object.freeze(this);
  }

  get options(): SendOptions {
    const { link, linkError, ...others } = this.#split.options;
    const options: { -readonly [K in keyof SendOptions]: SendOptions[K] } = others;
    if (link !== undefined) options.link = this.#linked(link) as never;
    if (linkError !== undefined) options.linkError = this.#linked(linkError) as never;
    return Object.freeze(options);
  }

  delay(...args: readonly unknown[]): Promise<AsyncResult<unknown>> {
    return this.applyAsync(args);
  }

  async applyAsync(args: readonly unknown[], options?: SendOptions): Promise<AsyncResult<unknown>> {
    return this.#host.sendCall(this.merge(args, options));
  }

  /** What {@link applyAsync} sends: given arguments come first; an immutable signature ignores them. */
  merge(args: readonly unknown[], options?: CallOptions): Call {
    const split = options === undefined ? this.#split : mergeOptions(this.#split, { options, extra: null });
    if (this.immutable || args.length === 0)
      return { task: this.task, args: this.args, kwargs: this.kwargs, ...split };
    const given = this.#host.split(this.task, args);
    return {
      task: this.task,
      args: this.args.length === 0 ? given.args : [...given.args, ...this.args],
      kwargs: { ...this.kwargs, ...given.kwargs },
      ...split,
    };
  }

  set(options: SendOptions): this {
    return this.#with(mergeOptions(this.#split, { options, extra: null }));
  }

  link(callback: Linked): this {
    return this.#append("link", callback);
  }

  linkError(errback: Linked): this {
    return this.#append("linkError", errback);
  }

  toJSON(): SignatureData {
    return {
      task: this.task,
      args: this.args,
      kwargs: this.kwargs,
      options: joinWireOptions(this.#split.options, this.#split.extra),
      subtask_type: null,
      immutable: this.immutable,
    };
  }

  #append(name: "link" | "linkError", linked: Linked): this {
    const there = listOf(this.#split.options[name]);
    if (there.includes(linked)) return this;
    return this.#with({
      options: { ...this.#split.options, [name]: [...there, linked] },
      extra: this.#split.extra,
    });
  }

  #with(split: SplitOptions): this {
    return new TaskSignature(this.#host, {
      task: this.task,
      args: this.args,
      kwargs: this.kwargs,
      immutable: this.immutable,
      ...split,
    }) as this;
  }

  /** Plain data becomes signatures, where this version has them. */
  #linked(value: Linked | readonly Linked[]): readonly Linked[] {
    return listOf(value).map((one) => {
      if ("toJSON" in one || canvasFeature(one.task, one.subtask_type ?? null) !== null) return one;
      return signatureFromData(this.#host, one);
    });
  }
}

function listOf(value: Linked | readonly Linked[] | undefined): readonly Linked[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? (value as readonly Linked[]) : [value as Linked];
}

/** A signature of one task, with the arguments as {@link SignatureHost.split} left them. */
export function makeSignature(
  host: SignatureHost,
  call: Omit<Call, "options" | "extra">,
  given: { readonly immutable: boolean; readonly options?: SendOptions | undefined },
): TaskSignature {
  const split =
    given.options === undefined ? NOTHING : mergeOptions(NOTHING, { options: given.options, extra: null });
  return new TaskSignature(host, { ...call, ...split, immutable: given.immutable });
}

/** From Celery's JSON form. Throws for what is none, and for a canvas that this version lacks. */
export function signatureFromData(host: SignatureHost, data: unknown): TaskSignature {
  const read = readSignature(data, "the signature");
  assertPlain(read.task, read.subtask_type);
  return new TaskSignature(host, {
    task: read.task,
    args: read.args,
    kwargs: read.kwargs,
    immutable: read.immutable,
    ...splitWireOptions(read.options),
  });
}

/** Whether a value is a signature of any app, and of any copy of petiole. */
export function isSignature(value: unknown): value is Signature<readonly never[], unknown> {
  return typeof value === "object" && value !== null && brand in value;
}
