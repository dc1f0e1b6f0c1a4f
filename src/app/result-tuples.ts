/** Handles as the tuples that Celery stores of them. */
import { groupTuple, type ResultTuple, resultTuple } from "../protocol/result-tuple.ts";
import type { AsyncResult } from "./result-types.ts";

/** The tuple of a handle: what its `toJSON` gives. */
export function tupleOf(handle: AsyncResult<unknown>): ResultTuple {
  const parent = handle.parent === null ? null : tupleOf(handle.parent);
  const { results } = handle as { readonly results?: readonly AsyncResult<unknown>[] };
  return results === undefined
    ? resultTuple(handle.id, parent)
    : groupTuple(handle.id, results.map(tupleOf), parent);
}
