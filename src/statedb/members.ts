/** What may be a member of a set of revoked ids or stamps. */

/** Longer ones would fill the memory: thousands are kept. A stamp is a header and its value as JSON. */
const LONGEST = 4096;

export function isRevocable(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= LONGEST;
}
