/**
 * What Redis says, in RESP2 and RESP3, as values. Maps are flat lists of keys and values, sets are lists, attributes are left
 * out, doubles are numbers, big numbers text.
 */

/** An error reply. */
export interface RespError {
  readonly error: string;
}

/** A RESP3 push: it came unasked. */
export interface RespPush {
  readonly push: readonly RespValue[];
}

export type RespValue = string | Buffer | number | boolean | null | RespError | RespPush | RespValue[];

export function isRespError(value: unknown): value is RespError {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "error");
}

export function isRespPush(value: unknown): value is RespPush {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "push");
}
