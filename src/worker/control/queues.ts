/** Commands about the queues that are consumed. */
import type { ExchangeType, QueueDeclaration } from "../../transports/transport.ts";
import { made } from "../context.ts";
import { type Arguments, optionalText, textOf } from "./arguments.ts";
import { CommandError } from "./errors.ts";
import { type CommandGroup, type ControlState, ok } from "./state.ts";

/** A queue is a key at the broker. */
const MAX_QUEUES = 10_000;
const MAX_NAME_BYTES = 255;

export const QUEUE_COMMANDS: CommandGroup = {
  async add_consumer(state, args) {
    const { context, queues } = state;
    const name = textOf(args, "queue");
    if (!queues.has(name)) {
      if (queues.size >= MAX_QUEUES)
        throw new CommandError("ValueError", `${MAX_QUEUES} queues are consumed`);
      const declaration = declarationOf(name, args);
      await made(context.transport, "transport").declare([declaration]);
      queues.set(name, declaration);
      consumeThem(state);
      context.logger.info({ queue: name }, "a queue is consumed from now on, by remote control");
    }
    return ok(`add consumer ${name}`);
  },

  async cancel_consumer(state, args) {
    const name = textOf(args, "queue");
    await state.context.broadcasts?.cancel(name);
    if (state.queues.delete(name)) {
      consumeThem(state);
      state.context.logger.info({ queue: name }, "a queue is not consumed any more, by remote control");
    }
    return ok(`no longer consuming from ${name}`);
  },

  active_queues: ({ context, queues }) => [
    ...[...queues.values()].map(described),
    ...(context.broadcasts?.queues ?? []).map(({ declaration, alias }) => ({
      ...described(declaration),
      alias,
      queue: declaration.name,
      auto_delete: true,
    })),
  ],
};

function consumeThem({ tasks, queues }: ControlState): void {
  tasks.consumer.setQueues([...queues.keys()]);
}

/** A queue that the app knows is what the app says; another is what the request says. */
function declarationOf(name: string, args: Arguments): QueueDeclaration {
  if (name === "" || /[\p{Cc}\p{Cs}]/u.test(name) || Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new CommandError("ValueError", "a queue's name has 1 to 255 bytes, and no control characters");
  }
  const exchange = optionalText(args, "exchange") || name;
  return {
    name,
    exchange,
    type: typeOf(optionalText(args, "exchange_type") || "direct"),
    routingKey: optionalText(args, "routing_key") ?? name,
  };
}

function typeOf(type: string): ExchangeType {
  if (type === "direct" || type === "topic") return type;
  throw new CommandError("ValueError", `exchange type ${type.slice(0, 40)} is not direct or topic`);
}

/** As `kombu.Queue.as_dict` shows it. */
function described({
  name,
  exchange,
  type,
  routingKey,
}: QueueDeclaration): Readonly<Record<string, unknown>> {
  return {
    name,
    exchange: {
      name: exchange,
      type,
      arguments: null,
      durable: true,
      passive: false,
      auto_delete: false,
      delivery_mode: null,
      no_declare: false,
    },
    routing_key: routingKey,
    queue_arguments: null,
    binding_arguments: null,
    consumer_arguments: null,
    durable: true,
    exclusive: false,
    auto_delete: false,
    no_ack: false,
    alias: null,
    bindings: [],
    no_declare: null,
    expires: null,
    message_ttl: null,
    max_length: null,
    max_length_bytes: null,
    max_priority: null,
  };
}
