/**
 * What a message says of its earlier deliveries: `headers.redelivered`, `headers["x-delivery-count"]` and
 * `properties.delivery_info.redelivered`. The first and the last are kombu's, the count is ours.
 */
import type { WireMessage } from "../../protocol/wire.ts";

const COUNT_HEADER = "x-delivery-count";

export function readDeliveryCount(message: WireMessage): number {
  const count = message.headers[COUNT_HEADER];
  return typeof count === "number" && Number.isSafeInteger(count) && count > 0 ? count : 0;
}

export function readRedelivered(message: WireMessage): boolean {
  const info = message.properties["delivery_info"];
  return (
    message.headers["redelivered"] === true ||
    (typeof info === "object" && info !== null && (info as Record<string, unknown>)["redelivered"] === true)
  );
}

/** A copy that says it was delivered before. */
export function patchRedelivered(message: WireMessage, count: number): WireMessage {
  const info = message.properties["delivery_info"];
  return {
    ...message,
    headers: { ...message.headers, redelivered: true, ...(count > 0 ? { [COUNT_HEADER]: count } : {}) },
    properties: {
      ...message.properties,
      delivery_info: { ...(typeof info === "object" ? info : {}), redelivered: true },
    },
  };
}
