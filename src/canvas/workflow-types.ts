/** How results flow from one signature into the next, in types. */
import type { AnySignature, Group, Signature } from "./canvas-types.ts";

type Needs<S> = S extends Signature<infer P, any> ? P : never;
type Gives<S> = S extends Signature<any, infer R> ? R : never;
/** What a step of a chain gives: a group of one is its member. */
type Hands<S> = S extends Group<any, infer T> ? (T extends readonly [infer One] ? One : T) : Gives<S>;
export type FirstOf<S extends readonly AnySignature[]> = S extends readonly [infer F, ...any[]]
  ? Needs<F>
  : Needs<S[number]>;
export type LastOf<S extends readonly AnySignature[]> = S extends readonly [...any[], infer L]
  ? Hands<L>
  : Hands<S[number]>;
/** A step that takes `In`; a complete one is told what to do about it. */
type Taking<S, In> = [Needs<S>] extends [readonly []]
  ? "this step has all its arguments already: use .si(…) if it should ignore the result before it"
  : Signature<[result: In], any>;
/** `S` where each step takes the result of the one before; the first wrong one is replaced by what it should be. */
export type Linked<
  S extends readonly AnySignature[],
  Done extends readonly AnySignature[] = [],
> = S extends readonly [infer H extends AnySignature, ...infer T extends readonly AnySignature[]]
  ? Done extends readonly [...any[], infer B]
    ? H extends Signature<[result: Hands<B>], any>
      ? Linked<T, [...Done, H]>
      : [...Done, Taking<H, Hands<B>>, ...T]
    : Linked<T, [H]>
  : [...Done, ...S];

/** What every member accepts: an intersection; immutable members accept anything and do not count. */
export type NeedsAll<M> = [Particular<M>] extends [never]
  ? unknown[]
  : Particular<M> extends (needs: infer P extends readonly unknown[]) => void
    ? P
    : never;
type Particular<M> =
  M extends Signature<infer P, any> ? (unknown[] extends P ? never : (needs: P) => void) : never;
/** The results of all members. A group among them is part of the group, in its place. */
export type GivesAll<S extends readonly AnySignature[]> = [Extract<S[number], Group<any, any>>] extends [
  never,
]
  ? { -readonly [I in keyof S]: Gives<S[I]> }
  : number extends S["length"]
    ? GivesEach<S[number]>[]
    : Flat<S>;
type GivesEach<M> = M extends Group<any, infer T> ? T[number] : Gives<M>;
type Flat<S extends readonly unknown[], Done extends readonly unknown[] = []> = S extends readonly [
  infer H,
  ...infer T,
]
  ? Flat<T, [...Done, ...(H extends Group<any, infer G> ? G : [Gives<H>])]>
  : Done;
