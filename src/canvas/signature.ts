/**
 * A call that is not made yet. Counterpart: `celery/canvas.py`, `Signature`; ours is immutable. A single task is a
 * {@link TaskSignature}, what is made of several a {@link CanvasSignature}.
 */
import type { AsyncResult } from "../app/result-types.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { SendOptions } from "../task/send-types.ts";
import type { AnySignature, Signature } from "./canvas-types.ts";
import { checked } from "./checked.ts";
import { compose, giveTo, linkTo } from "./compose.ts";
import { asGroup, bodyOf, groupData, headerOf, kindOf, tasksOf, withOptions } from "./data.ts";
import type { Call, SignatureHost } from "./signature-host.ts";
import { stampAll } from "./stamp.ts";
import {
  dataVisitor,
  givenMarks,
  isVisitor,
  type StampingVisitor,
  type StampOptions,
  type Stamps,
} from "./visitor.ts";
import {
  type CallOptions,
  joinWireOptions,
  type Linked,
  mergeOptions,
  type SplitOptions,
  splitWireOptions,
} from "./wire-options.ts";

/** What a signature is made of. */
export interface SignatureParts extends Omit<Call, keyof SplitOptions> {
  readonly split: SplitOptions;
  readonly immutable: boolean;
  readonly subtaskType: TaskSignature["subtaskType"];
}

/** A real symbol of all copies of petiole, so that {@link isSignature} holds across them. */
const brand = Symbol.for("petiole.signature");

const NOTHING: SplitOptions = { options: {}, extra: null };
const NO_KWARGS: Readonly<Record<string, unknown>> = Object.freeze({});

/** The app of a signature of this copy of petiole; null: it has none. */
export function hostOf(signature: AnySignature): SignatureHost | null {
  return TaskSignature.hostOf(signature) ?? CanvasSignature.hostOf(signature);
}

/** A signature of one task, maps included. Frozen. Thousands are made at once: spread literals would cost most of that. */
export class TaskSignature implements Signature<readonly unknown[], unknown> {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly immutable: boolean;
  readonly subtaskType: "xmap" | "xstarmap" | null;
  readonly #host: SignatureHost;
  readonly #split: SplitOptions;

  static {
    Object.defineProperty(this.prototype, brand, { value: true });
  }

  constructor(host: SignatureHost, parts: SignatureParts) {
    this.#host = host;
    this.task = parts.task;
    this.args = Object.isFrozen(parts.args) ? parts.args : Object.freeze([...parts.args]);
    this.kwargs = frozenKwargs(parts.kwargs);
    this.immutable = parts.immutable;
    this.subtaskType = parts.subtaskType;
    this.#split = parts.split;
    Object.freeze(this);
  }

  static hostOf(signature: object): SignatureHost | null {
    return #host in signature ? signature.#host : null;
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

  async apply(args: readonly unknown[], options?: SendOptions): Promise<AsyncResult<unknown>> {
    return this.#host.applyCall(this.merge(args, options));
  }

  pipe(next: AnySignature): never {
    return signatureFromData(this.#host, compose(this.toJSON(), next.toJSON())) as never;
  }

  /** What {@link applyAsync} sends: given arguments come first; an immutable signature ignores them. */
  merge(args: readonly unknown[], options?: CallOptions): Call {
    const split = options === undefined ? this.#split : mergeOptions(this.#split, { options, extra: null });
    const { task } = this;
    if (this.immutable || args.length === 0)
      return { task, args: this.args, kwargs: this.kwargs, options: split.options, extra: split.extra };
    const given = this.#host.split(task, args);
    return {
      task,
      args: this.args.length === 0 ? given.args : [...given.args, ...this.args],
      kwargs: { ...this.kwargs, ...given.kwargs },
      options: split.options,
      extra: split.extra,
    };
  }

  clone(args: readonly unknown[] = [], options?: SendOptions): never {
    const { immutable, subtaskType } = this;
    const { task, args: merged, kwargs, ...split } = this.merge(args, options);
    return new TaskSignature(this.#host, {
      task,
      args: merged,
      kwargs,
      split,
      immutable,
      subtaskType,
    }) as never;
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

  onError(errback: Linked): this {
    return this.linkError(errback);
  }

  stamp(given: StampingVisitor | Stamps, options?: StampOptions): this {
    return stamped(this.#host, this.toJSON(), { given, options }) as this;
  }

  toJSON(): SignatureData {
    return {
      task: this.task,
      args: this.args,
      kwargs: this.kwargs,
      options: joinWireOptions(this.#split.options, this.#split.extra),
      subtask_type: this.subtaskType,
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
      split,
      immutable: this.immutable,
      subtaskType: this.subtaskType,
    }) as this;
  }

  /** Plain data becomes signatures. */
  #linked(value: Linked | readonly Linked[]): readonly Linked[] {
    return linkedTo(this.#host, value);
  }
}

function frozenKwargs(kwargs: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (Object.isFrozen(kwargs)) return kwargs;
  for (const _ in kwargs) return Object.freeze({ ...kwargs });
  return NO_KWARGS;
}

function linkedTo(host: SignatureHost, value: Linked | readonly Linked[]): readonly Linked[] {
  return listOf(value).map((one) => ("toJSON" in one ? one : signatureFromData(host, one)));
}

/** A chain, a group, a chord or chunks. Frozen; what it is made of stays plain. */
export class CanvasSignature implements Signature<readonly unknown[], unknown> {
  readonly subtaskType: "chain" | "group" | "chord" | "chunks";
  readonly #host: SignatureHost;
  readonly #data: SignatureData;

  static {
    Object.defineProperty(this.prototype, brand, { value: true });
  }

  constructor(host: SignatureHost, data: SignatureData, kind: CanvasSignature["subtaskType"]) {
    this.#host = host;
    this.#data = data;
    this.subtaskType = kind;
    Object.freeze(this);
  }

  static hostOf(signature: object): SignatureHost | null {
    return #host in signature ? signature.#host : null;
  }

  get task(): string {
    return this.#data.task;
  }

  get args(): readonly unknown[] {
    return this.#data.args;
  }

  get kwargs(): Readonly<Record<string, unknown>> {
    return this.#data.kwargs;
  }

  get immutable(): boolean {
    return this.#data.immutable;
  }

  /** Of a chain its steps, of a group its members, of a chord its header. */
  get tasks(): readonly SignatureData[] {
    if (this.subtaskType !== "chord") return tasksOf(asGroup(this.#data));
    return tasksOf(headerOf(this.#data));
  }

  /** Of a chord. */
  get body(): SignatureData | null {
    return this.subtaskType === "chord" ? bodyOf(this.#data) : null;
  }

  get options(): SendOptions {
    const { link, linkError, ...others } = splitWireOptions(this.#data.options).options;
    const options: { -readonly [K in keyof SendOptions]: SendOptions[K] } = others;
    if (link !== undefined) options.link = linkedTo(this.#host, link) as never;
    if (linkError !== undefined) options.linkError = linkedTo(this.#host, linkError) as never;
    return Object.freeze(options);
  }

  delay(...args: readonly unknown[]): Promise<AsyncResult<unknown>> {
    return this.applyAsync(args);
  }

  async applyAsync(args: readonly unknown[], options?: SendOptions): Promise<AsyncResult<unknown>> {
    return this.#host.sendCanvas(this.#data, { args, options });
  }

  async apply(args: readonly unknown[], options?: SendOptions): Promise<AsyncResult<unknown>> {
    return this.#host.applyCanvas(this.#data, { args, options });
  }

  pipe(next: AnySignature): never {
    return signatureFromData(this.#host, compose(this.#data, next.toJSON())) as never;
  }

  clone(args: readonly unknown[] = [], options: SendOptions = {}): never {
    const given = giveTo(this.#data, this.#host.split(this.task, args));
    return signatureFromData(this.#host, given).set(options) as never;
  }

  set(options: SendOptions): this {
    const { options: merged, extra } = mergeOptions(splitWireOptions(this.#data.options), {
      options,
      extra: null,
    });
    return this.#with(withOptions(this.#data, joinWireOptions(merged, extra)));
  }

  link(callback: Linked): this {
    return this.#with(linkTo(this.#data, "link", dataOf(callback)));
  }

  linkError(errback: Linked): this {
    return this.#with(linkTo(this.#data, "link_error", dataOf(errback)));
  }

  onError(errback: Linked): this {
    return this.linkError(errback);
  }

  stamp(given: StampingVisitor | Stamps, options?: StampOptions): this {
    return stamped(this.#host, this.#data, { given, options }) as this;
  }

  skew(start = 1, stop: number = Number.POSITIVE_INFINITY, step = 1): this {
    const tasks = this.tasks.map((task, index) =>
      withOptions(task, { ...task.options, countdown: Math.min(start + index * step, stop) }),
    );
    return this.#with(groupData(tasks, this.#data.options));
  }

  toJSON(): SignatureData {
    return this.#data;
  }

  #with(data: SignatureData): this {
    return signatureFromData(this.#host, data) as this;
  }
}

interface ToStamp {
  readonly given: StampingVisitor | Stamps;
  readonly options: StampOptions | undefined;
}

function stamped(
  host: SignatureHost,
  data: SignatureData,
  { given, options }: ToStamp,
): TaskSignature | CanvasSignature {
  const append = options?.appendStamps === true;
  const marks = givenMarks(options?.stamps ?? (isVisitor(given) ? {} : given));
  const visitor = isVisitor(given)
    ? dataVisitor(given, (one) => signatureFromData(host, one) as AnySignature)
    : null;
  return signatureFromData(host, stampAll(data, marks, { visitor, append }));
}

function dataOf(linked: Linked): SignatureData {
  return "toJSON" in linked ? linked.toJSON() : linked;
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
  const { task, args, kwargs } = call;
  return new TaskSignature(host, {
    task,
    args,
    kwargs,
    split,
    immutable: given.immutable,
    subtaskType: null,
  });
}

/** From Celery's JSON form. Throws for what is none. */
export function signatureFromData(host: SignatureHost, data: unknown): TaskSignature | CanvasSignature {
  const read = readSignature(data, "the signature");
  const kind = kindOf(read);
  if (kind !== "task") {
    // The caller's own object stays as it is.
    return new CanvasSignature(host, Object.freeze({ ...checked(read) }), kind);
  }
  const { task, args, kwargs, immutable, subtask_type: type } = read;
  return new TaskSignature(host, {
    task,
    args,
    kwargs,
    split: splitWireOptions(read.options),
    immutable,
    subtaskType: type === "xmap" || type === "xstarmap" ? type : null,
  });
}

/** Whether a value is a signature of any app, and of any copy of petiole. */
export function isSignature(value: unknown): value is Signature<readonly never[], unknown> {
  return typeof value === "object" && value !== null && brand in value;
}
