/** What a `TaskConsumer` is made with. */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Pool } from "../pool/pool.ts";
import type { Transport } from "../transports/transport.ts";
import type { Revoked } from "./revoked.ts";
import type { Settler } from "./settler.ts";
import type { UniqueTasks } from "./unique.ts";

export interface TaskConsumerOptions {
  readonly transport: Transport;
  readonly pool: Pool;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly settler: Settler;
  readonly unique: UniqueTasks;
  readonly prefetch: number;
  /** `worker_disable_prefetch`: a message is taken only when its task can start at once. */
  readonly disablePrefetch: boolean;
  readonly queues: readonly string[];
  /** `worker_cancel_long_running_tasks_on_connection_loss`. */
  readonly cancelsOnLoss: boolean;
  /** `worker_deduplicate_successful_tasks`: whether a task's SUCCESS is stored already. null: off. */
  readonly isDone: ((id: string) => Promise<boolean>) | null;
  /** What is to be asked before a task starts. */
  readonly revoked: Pick<Revoked, "doubt">;
  /** Starts for each second of a task type; 0: no limit. */
  rateOf(task: string): number;
  /** Whether a task of the app has limits over all workers. */
  hasLimits(): boolean;
  /** Something is about to start. Called often. null: nobody wants to know. */
  readonly onWork: (() => void) | null;
  /** Ends what is tried again and again: stores, sends. Called when the worker stops in a hurry. */
  giveUp(): void;
  /** Settlements are on their way: sends what is to follow them. */
  onSettled(): void;
}
