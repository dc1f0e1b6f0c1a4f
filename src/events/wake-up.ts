/** The broadcast that asks all workers for a heartbeat: the remote control command `heartbeat`, without an answer. */
import { stringifyJson } from "../protocol/json.ts";
import type { Outgoing } from "../transports/transport.ts";

/** Seconds after which nobody needs to look at the request any more. */
const EXPIRES = 1;

export function wakeUpWorkers(given: {
  /** `control_exchange`. */
  readonly controlExchange: string;
  /** Logical. */
  readonly clock: number;
  readonly nowMs: number;
}): Outgoing {
  const request = { method: "heartbeat", arguments: {}, destination: null, pattern: null, matcher: null };
  return {
    message: {
      body: stringifyJson(request),
      contentType: "application/json",
      contentEncoding: "utf-8",
      headers: { clock: given.clock, expires: given.nowMs / 1000 + EXPIRES },
      properties: { delivery_mode: 2 },
    },
    exchange: `${given.controlExchange}.pidbox`,
    type: "fanout",
    routingKey: "",
    priority: 0,
  };
}
