/**
 * Topic bindings as kombu reads them, without a regular expression of a stranger's making.
 * kombu turns a binding key into `^…$` where `*` is `.*?[^\.]` and `#` is `.*?`, words joined by a dot. So `*` also spans
 * dots (`task.*` takes `task.x.y`) but wants at least one character and no dot at the end, and `task.#` does not take `task`.
 * Counterpart: kombu `transport/virtual/exchange.py`, `TopicExchange`.
 */

/** Any run of characters, the empty one too. */
const ANY: unique symbol = Symbol("any");
/** One character that is not a dot. */
const NOT_DOT: unique symbol = Symbol("not a dot");
type Token = string | typeof ANY | typeof NOT_DOT;

/** A binding key made ready; matching takes at most (tokens x characters) steps. */
export type TopicPattern = readonly Token[];

/** Reads a binding key. */
export function compileTopic(bindingKey: string): TopicPattern {
  const tokens: Token[] = [];
  for (const [index, word] of bindingKey.split(".").entries()) {
    if (index > 0) tokens.push(".");
    if (word === "#") tokens.push(ANY);
    else if (word === "*") tokens.push(ANY, NOT_DOT);
    else tokens.push(...word.split(""));
  }
  return tokens;
}

/** Whether a message of this routing key goes to the binding. */
export function matchesTopic(pattern: TopicPattern, routingKey: string): boolean {
  let token = 0;
  let char = 0;
  // Where to go on from when the attempt fails: the token after the last ANY, and the character it is tried at.
  let retryToken = -1;
  let retryChar = 0;
  while (char < routingKey.length || token < pattern.length) {
    const wanted = pattern[token];
    if (wanted === ANY) {
      retryToken = token + 1;
      retryChar = char;
      token += 1;
    } else if (
      token < pattern.length &&
      char < routingKey.length &&
      (wanted === NOT_DOT ? routingKey[char] !== "." : wanted === routingKey[char])
    ) {
      token += 1;
      char += 1;
    } else if (retryToken >= 0 && retryChar < routingKey.length) {
      retryChar += 1;
      token = retryToken;
      char = retryChar;
    } else {
      return false;
    }
  }
  return true;
}

/** Of a fanout: as `PSUBSCRIBE` of the key with `#` read as `*`, where `*` spans dots. null: only what has no routing key. */
export function compileSubscription(routingKey: string): TopicPattern | null {
  if (routingKey === "") return null;
  return routingKey.split("").map((char) => (char === "*" || char === "#" ? ANY : char));
}

/** Whether a fanout message reaches a subscription. A key on one side only: another channel, as on Redis. */
export function hears(pattern: TopicPattern | null, routingKey: string): boolean {
  if (pattern === null || routingKey === "") return (pattern === null) === (routingKey === "");
  return matchesTopic(pattern, routingKey);
}
