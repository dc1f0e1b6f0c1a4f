/** What workers and clients tell each other over the channel of the shared set. Anybody may publish anything there. */
import { isRevocable } from "../members.ts";
import type { Revocations } from "../state-db.ts";

export type Change =
  | ({ readonly kind: "revoked"; readonly seq: number } & Revocations)
  | { readonly kind: "reload"; readonly seq: number }
  /** The worker with this token takes the name. */
  | { readonly kind: "claimed"; readonly node: string; readonly token: string }
  /** The worker with this token has it, too. */
  | { readonly kind: "held"; readonly node: string; readonly token: string };

/** A page of a thousand of the longest members. */
const LONGEST = 8 * 1024 * 1024;

/** null: none of ours. */
export function readChange(payload: string): Change | null {
  if (payload.length > LONGEST) return null;
  let read: unknown;
  try {
    read = JSON.parse(payload);
  } catch {
    return null;
  }
  if (typeof read !== "object" || read === null) return null;
  const { seq, ids, stamps, reload, claimed, held, token } = read as Readonly<Record<string, unknown>>;
  if (typeof token === "string") {
    if (typeof claimed === "string") return { kind: "claimed", node: claimed, token };
    return typeof held === "string" ? { kind: "held", node: held, token } : null;
  }
  if (!Number.isSafeInteger(seq)) return null;
  if (reload === true) return { kind: "reload", seq: Number(seq) };
  return { kind: "revoked", seq: Number(seq), ids: textsOf(ids), stamps: textsOf(stamps) };
}

/** Of a claim; the scripts write the others. */
export function changeText(change: Extract<Change, { readonly kind: "claimed" | "held" }>): string {
  return JSON.stringify({ [change.kind]: change.node, token: change.token });
}

function textsOf(given: unknown): readonly string[] {
  return Array.isArray(given) ? given.filter((one) => isRevocable(one)) : [];
}
