/** The port through which signatures, retries, callbacks and chains are sent: an app, seen from below. */
import type { SignatureData, TaskEmbed } from "../protocol/wire.ts";
import type { CanvasPlan, Given } from "./plan.ts";

/** Ids that a send inherits from the task it is made in. */
export interface SendParent {
  readonly id: string;
  readonly rootId: string;
  /** `task_inherit_parent_priority`. */
  readonly priority: number;
}

/** One send by name, options already merged. Celery's `app.send_task`. */
export interface SendRequest {
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Wire names (`task_id`, `countdown`, `queue`, …): what a signature's `options` hold. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Overrides what `options.link` / `link_error` would give. */
  readonly embed?: Partial<TaskEmbed>;
  readonly parent: SendParent | null;
}

/** What is planned and not sent yet. */
export type Planned = Pick<CanvasPlan, "sends" | "chords">;

export interface Sender {
  /** Publishes with the app's retry policy. Resolves with the id once the broker has it. */
  send(request: SendRequest): Promise<string>;
  /**
   * What a signature of whatever kind is sent as: all ids are known from here on.
   *
   * @param newId - for what has no id: the same ones again when it is planned again
   * @throws DecodeError
   */
  plan(signature: SignatureData, given: Given, newId: () => string): Promise<CanvasPlan>;
  publish(planned: Planned, parent: SendParent | null): Promise<void>;
}
