/**
 * Asks the other workers what is revoked and what time their clocks have. Skipped when there is none: Celery waits a second
 * for nobody. Python: `celery/worker/consumer/mingle.py`.
 */
import { ask } from "../../app/control-ask.ts";
import type { Step } from "../../base/blueprint.ts";
import { nodeOfPidboxQueue } from "../../protocol/pidbox.ts";
import type { WorkerContext } from "../context.ts";
import { askContext } from "../control/ask-context.ts";
import type { takeOver } from "../control/worker.ts";

/** Celery's. A worker that was killed is still bound, and answers nothing. */
const WAIT_MS = 1_000;

export const mingleStep: Step<WorkerContext> = {
  name: "mingle",
  requires: ["tasks", "control"],
  enabled: ({ settings }) => settings.mingle,
  async start(context, signal) {
    context.mingle = (stopping) => mingle(context, stopping);
    try {
      await mingle(context, signal);
    } catch (err) {
      signal.throwIfAborted();
      context.logger.warn({ err }, "mingle: the other workers could not be asked");
    }
  },
  async stop(context) {
    context.mingle = null;
  },
};

async function mingle(context: WorkerContext, signal: AbortSignal): Promise<void> {
  const { logger, revoked, settings } = context;
  const asking = askContext(context);
  const bound = await asking.transport.bindings(asking.names.exchange);
  const others = bound.filter(({ queue }) => {
    const node = nodeOfPidboxQueue(queue, asking.names);
    return node !== null && node !== settings.hostname;
  });
  if (others.length === 0) {
    logger.debug({}, "mingle: all alone");
    return;
  }
  const known = revoked.ids.entries().map(([id, stamp]) => [id, [stamp, id]] as const);
  const question = {
    method: "hello",
    arguments: { from_node: settings.hostname, revoked: Object.fromEntries(known) },
    destination: null,
    pattern: null,
    matcher: null,
    timeoutMs: WAIT_MS,
  };
  // This worker hears its own question, and replies that it has nothing to say.
  const own = settings.remoteControl ? 1 : 0;
  const replies = await ask(asking, question, { limit: others.length + own, signal });
  const nodes = replies.filter(([node]) => node !== settings.hostname);
  // Not loaded by a worker that is alone.
  const commands = await import("../control/worker.ts");
  for (const [node, reply] of nodes) synchronise(context, { node, reply, take: commands.takeOver });
  logger.info({ nodes: nodes.map(([node]) => node) }, "mingle: synchronised with other workers");
}

/** What one node says may be anything: it does not keep the others' from being heard. */
function synchronise(
  context: WorkerContext,
  said: { readonly node: string; readonly reply: unknown; readonly take: typeof takeOver },
): void {
  const { node, reply, take } = said;
  const { app, logger } = context;
  if (typeof reply !== "object" || reply === null) return;
  const { clock, revoked: theirs, error } = reply as Readonly<Record<string, unknown>>;
  if (error !== undefined) {
    logger.warn({ node, error }, "mingle: a worker could not synchronise");
    return;
  }
  app.lamport.adjust(clock);
  try {
    take(context, theirs);
  } catch (err) {
    logger.warn({ node, err }, "mingle: what a worker says is revoked cannot be read");
  }
}
