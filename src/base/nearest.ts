/** "Did you mean": the nearest of some names. */

/** Names longer than this are not compared letter by letter. */
const MAX_LENGTH = 100;
/** Changes at most, as a share of the longer name: `que` is near `queue`. */
const MAX_SHARE = 0.4;

/**
 * The candidate that needs the fewest changes to become `name` (a letter added, dropped, replaced, or two neighbours
 * swapped; case and separators count nothing), or null when even the best needs too many for its length.
 */
export function nearest(name: string, candidates: Iterable<string>): string | null {
  if (name.length > MAX_LENGTH) return null;
  const wanted = plain(name);
  let best: string | null = null;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const other = plain(candidate);
    const limit = Math.min(bestDistance - 1, Math.floor(Math.max(wanted.length, other.length) * MAX_SHARE));
    if (Math.abs(wanted.length - other.length) > limit) continue;
    const distance = editDistance(wanted, other);
    if (distance <= limit) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `", did you mean X?"`, or nothing. The end of an error message. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const found = nearest(name, candidates);
  return found === null ? "" : `, did you mean ${JSON.stringify(found)}?`;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll(/[_.\s-]/g, "");
}

/** Damerau-Levenshtein distance with adjacent swaps (optimal string alignment). */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= b.length; column += 1) {
      const same = a[row - 1] === b[column - 1];
      let value = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        value = Math.min(value, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(value);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}
