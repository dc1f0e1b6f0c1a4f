import type { OutgoingTask } from "../../src/protocol/wire.ts";

/** A call of `shop.add` with two numbers; what a test is about goes over it. */
export function outgoingTask(over: Partial<OutgoingTask> = {}): OutgoingTask {
  return {
    id: "i1",
    task: "shop.add",
    args: [2, 3],
    kwargs: {},
    embed: null,
    eta: null,
    expires: null,
    expirationMs: null,
    retries: 0,
    timeLimit: null,
    softTimeLimit: null,
    rootId: "i1",
    parentId: null,
    group: null,
    groupIndex: null,
    shadow: null,
    ignoreResult: false,
    replacedTaskNesting: 0,
    stampedHeaders: null,
    stamps: {},
    origin: "gen1@host",
    replyTo: null,
    priority: null,
    deliveryMode: 2,
    headers: null,
    extraProperties: null,
    argsrepr: null,
    kwargsrepr: null,
    ...over,
  };
}
