/** `app.control.pauseQueue` and its like: written in the broker, where every worker of ours looks before it takes a message. */
import { PetioleError } from "../errors.ts";
import type { Transport } from "../transports/transport.ts";

/** A queue that {@link Control.pauseQueue} has paused. */
export interface PausedQueueInfo {
  readonly queue: string;
  readonly since: Date;
}

export async function pausedQueues({ paused }: Transport): Promise<readonly PausedQueueInfo[]> {
  const found = await paused.list();
  return found.map(({ queue, sinceMs }) => ({ queue, since: new Date(sinceMs) }));
}

/** @throws PetioleError PET_USAGE */
export function queueNames(given: string | readonly string[], call: string): readonly string[] {
  const names = [...new Set(typeof given === "string" ? [given] : given)];
  if (names.length > 0 && names.every((name) => typeof name === "string" && name !== "")) return names;
  throw new PetioleError("PET_USAGE", `app.control.${call} takes the name of a queue, or several in a list`);
}
