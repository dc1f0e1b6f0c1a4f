/** Ids that follow from another one, so that who does a thing a second time does it under the same ids. */
import { createHash } from "node:crypto";

const NAMESPACE = "petiole:";

/** A UUID of version 5's shape that follows from an id and a purpose. */
export function derivedId(id: string, purpose: string): string {
  const bytes = createHash("sha1").update(`${NAMESPACE}${purpose}:${id}`).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** Ids that follow from another, one after the other. */
export function derivedIds(id: string, purpose: string): () => string {
  let count = 0;
  return () => {
    count += 1;
    return derivedId(id, `${purpose}:${count}`);
  };
}
