/** What a publish to the same server does in its own step besides: it asks whether its sender still leads, and notes the run. */
export interface RedisPublishClaim {
  readonly kind: "redis";
  /** Of the server that the keys are on. */
  readonly runId: string;
  readonly db: number;
  readonly selectAllowed: boolean;
  /** STRING that holds `token` while the sender leads. */
  readonly lockKey: string;
  readonly token: string;
  /** HASH: `slot` is the latest run that was published, ms since the epoch. */
  readonly entryKey: string;
  readonly slotMs: number;
  /** Written with the slot. */
  readonly meta: string;
  /** ZSET that has the entry by its next run. */
  readonly scheduleKey: string;
  readonly score: number;
  /** The step was done: the run is noted. Not called where the broker is elsewhere. */
  readonly onNoted: () => void;
}
