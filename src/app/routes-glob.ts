/**
 * Globs as Python's `fnmatch`: `*` any text, `?` one character, `[abc]`, `[a-z]`, `[!abc]`; the whole name must match,
 * case counts. Matched by going back to the last `*` only, so the time is at most pattern length times name length.
 */

type Token =
  | { readonly kind: "any" }
  | { readonly kind: "one" }
  | { readonly kind: "char"; readonly char: string }
  | {
      readonly kind: "set";
      readonly negated: boolean;
      readonly ranges: readonly (readonly [string, string])[];
    };

/** A function that says whether a name matches the glob. */
export function globMatcher(pattern: string): (name: string) => boolean {
  const tokens = tokensOf(pattern);
  return (name) => matches(tokens, Array.from(name));
}

function matches(tokens: readonly Token[], name: readonly string[]): boolean {
  let at = 0;
  let token = 0;
  /** Where the last `*` stood, and how much it has swallowed so far. */
  let star = -1;
  let swallowedTo = 0;
  while (at < name.length) {
    const current = tokens[token];
    if (current?.kind === "any") {
      star = token;
      swallowedTo = at;
      token += 1;
    } else if (current && fits(current, name[at] ?? "")) {
      at += 1;
      token += 1;
    } else if (star >= 0) {
      swallowedTo += 1;
      at = swallowedTo;
      token = star + 1;
    } else return false;
  }
  while (tokens[token]?.kind === "any") token += 1;
  return token === tokens.length;
}

function fits(token: Token, char: string): boolean {
  switch (token.kind) {
    case "any":
    case "one":
      return true;
    case "char":
      return token.char === char;
    case "set":
      return token.ranges.some(([from, to]) => from <= char && char <= to) !== token.negated;
  }
}

function tokensOf(pattern: string): readonly Token[] {
  const chars = Array.from(pattern);
  const tokens: Token[] = [];
  for (let index = 0; index < chars.length; index += 1) {
    const char = chars[index] ?? "";
    if (char === "*") {
      if (tokens.at(-1)?.kind !== "any") tokens.push({ kind: "any" });
    } else if (char === "?") tokens.push({ kind: "one" });
    else if (char === "[") {
      const set = setAt(chars, index);
      if (set === null) tokens.push({ kind: "char", char });
      else {
        tokens.push(set.token);
        index = set.end;
      }
    } else tokens.push({ kind: "char", char });
  }
  return tokens;
}

/** The set that begins at `start`; null when no `]` closes it (then `[` is a letter). A `]` right at its start is a member. */
function setAt(chars: readonly string[], start: number): { token: Token; end: number } | null {
  let index = start + 1;
  const negated = chars[index] === "!";
  if (negated) index += 1;
  const end = chars.indexOf("]", index + 1);
  if (end < 0) return null;
  const ranges: (readonly [string, string])[] = [];
  while (index < end) {
    const from = chars[index] ?? "";
    if (chars[index + 1] === "-" && index + 2 < end) {
      ranges.push([from, chars[index + 2] ?? ""]);
      index += 3;
    } else {
      ranges.push([from, from]);
      index += 1;
    }
  }
  return { token: { kind: "set", negated, ranges }, end };
}
