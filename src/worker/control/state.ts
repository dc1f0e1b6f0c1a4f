/** What commands work with. */
import type { QueueDeclaration } from "../../transports/transport.ts";
import type { TaskParts, WorkerContext } from "../context.ts";
import type { Arguments } from "./arguments.ts";

export interface ControlState {
  readonly context: WorkerContext;
  readonly tasks: TaskParts;
  /** Queues that are consumed. Written by `add_consumer`, `cancel_consumer`. */
  readonly queues: Map<string, QueueDeclaration>;
}

/** Runs a command: gives the reply, or throws. */
export type CommandRun = (state: ControlState, args: Arguments) => unknown;

/** Commands of a group by name. */
export type CommandGroup = Readonly<Record<string, CommandRun>>;

/** No reply is sent, even when somebody waits for one. */
export const NO_REPLY: unique symbol = Symbol("no reply");

export function ok(text: string): { readonly ok: string } {
  return { ok: text };
}

export function nok(text: string): { readonly error: string } {
  return { error: text };
}
