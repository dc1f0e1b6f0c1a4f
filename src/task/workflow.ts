/** `chain`, `group` and `chord`, with their types. Python: `celery/canvas.py`. */
import type { AnySignature, Group, Signature } from "../canvas/canvas-types.ts";
import { chained } from "../canvas/compose.ts";
import { chordData, groupData } from "../canvas/data.ts";
import { hostOf, signatureFromData } from "../canvas/signature.ts";
import type { SignatureHost } from "../canvas/signature-host.ts";
import type { FirstOf, GivesAll, LastOf, Linked, NeedsAll } from "../canvas/workflow-types.ts";
import type { SignatureData } from "../protocol/wire.ts";
import { currentHost } from "./shared.ts";

/**
 * One after the other: each result becomes the first argument of the next. A group that is followed by a task is the header
 * of a chord; a group of one is its member.
 *
 * @typeParam S - the steps
 */
export function chain<S extends readonly AnySignature[]>(
  ...steps: S extends Linked<S> ? S : Linked<S>
): Signature<FirstOf<S>, LastOf<S>> {
  const all = steps as unknown as readonly AnySignature[];
  return made(all, chained(all.map(dataOf)));
}

/**
 * Side by side: `group([a.s(1), b.s("x")])` gives `[A, B]`, `group(urls.map((url) => fetch.s(url)))` gives `R[]`.
 *
 * @typeParam S - the members
 */
export function group<const S extends readonly AnySignature[]>(
  members: S,
): Group<NeedsAll<S[number]>, GivesAll<S>> {
  return made(members, groupData(members.map(dataOf)));
}

/**
 * `body` is sent once all of `header` have succeeded, with the list of their results as first argument.
 *
 * @typeParam S - the header
 * @typeParam R - what the body gives
 */
export function chord<const S extends readonly AnySignature[], R>(
  header: S,
  body: Signature<[results: GivesAll<S>], R>,
): Signature<NeedsAll<S[number]>, R> {
  const data = dataOf(body as AnySignature);
  return made([...header, body as AnySignature], chordData(header.map(dataOf), data));
}

function dataOf(signature: AnySignature): SignatureData {
  return signature.toJSON();
}

/** It is sent by the app of its parts. */
function made(parts: readonly AnySignature[], data: SignatureData): never {
  let host: SignatureHost | null = null;
  for (const part of parts) host ??= hostOf(part);
  return signatureFromData(host ?? currentHost, data) as never;
}
