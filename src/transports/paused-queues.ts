/**
 * Queues that are paused: no consumer of ours takes from them, from the moment that it is written, until they are resumed.
 * Kept where the messages are, over restarts of workers and broker. Messages still come in. Python's workers do not look.
 */
export interface PausedQueues {
  /** How many of them were not paused before. One that is paused keeps its time. */
  pause(queues: readonly string[]): Promise<number>;
  /** How many of them were paused. Idle consumers wake up. */
  resume(queues: readonly string[]): Promise<number>;
  /** The longest paused first. */
  list(): Promise<readonly PausedQueue[]>;
}

export interface PausedQueue {
  readonly queue: string;
  /** The broker's clock, ms since the epoch. */
  readonly sinceMs: number;
}
