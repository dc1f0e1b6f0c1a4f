/**
 * Bindings of exchanges as kombu stores them: `_kombu.binding.<exchange>` is a SET of `routing_key⟂pattern⟂queue`.
 * Counterpart: `kombu/transport/redis.py` (`_queue_bind`, `get_table`), `virtual/exchange.py`.
 */
import { compileTopic, matchesTopic, type TopicPattern } from "../memory/topic.ts";
import type { QueueDeclaration } from "../transport.ts";

export interface Binding {
  readonly routingKey: string;
  /** Of a topic exchange. */
  readonly pattern: TopicPattern | null;
  readonly queue: string;
}

/** The SET's member for a queue. */
export function bindingMember(declaration: QueueDeclaration, sep: string): string {
  const { routingKey, type, name } = declaration;
  return [routingKey, type === "topic" ? topicText(routingKey) : "", name].join(sep);
}

/** What kombu writes for a topic: the source of a Python regular expression. We write it and never run it. */
export function topicText(routingKey: string): string {
  const words = routingKey.split(".").map((word) => {
    if (word === "*") return ".*?[^\\.]";
    if (word === "#") return ".*?";
    return word.replace(/[^\p{L}\p{N}]/gu, (char) => (char === "\0" ? "\\000" : `\\${char}`));
  });
  return `^${words.join("\\.")}$`;
}

/** Members that are none of kombu's are left out. */
export function parseBindings(members: readonly string[], sep: string): Binding[] {
  const bindings: Binding[] = [];
  for (const member of [...members].sort()) {
    const parts = member.split(sep);
    if (parts.length !== 3) continue;
    const [routingKey = "", pattern = "", queue = ""] = parts;
    if (queue === "") continue;
    bindings.push({ routingKey, pattern: pattern === "" ? null : compileTopic(routingKey), queue });
  }
  return bindings;
}

/** Queues that a message goes to, each once. */
export function matchingQueues(bindings: readonly Binding[], routingKey: string): string[] {
  const queues = new Set<string>();
  for (const binding of bindings) {
    const matches =
      binding.pattern === null
        ? binding.routingKey === routingKey
        : matchesTopic(binding.pattern, routingKey);
    if (matches) queues.add(binding.queue);
  }
  return [...queues];
}
