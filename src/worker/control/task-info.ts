/** A task as `inspect` shows it. Python: `celery.worker.request.Request.info`. */
import { reprArgs, reprKwargs } from "../../protocol/python-repr.ts";
import type { Request } from "../request.ts";
import type { ControlState } from "./state.ts";

/** @param safe - arguments as texts, which anybody can read */
export function taskInfo(
  request: Request,
  hostname: string,
  safe = false,
): Readonly<Record<string, unknown>> {
  const { decoded, delivery } = request;
  return {
    id: request.id,
    name: request.task,
    args: safe ? (decoded.argsrepr ?? reprArgs(decoded.args)) : decoded.args,
    kwargs: safe ? (decoded.kwargsrepr ?? reprKwargs(decoded.kwargs)) : decoded.kwargs,
    type: request.task,
    hostname,
    time_start: request.startedMs === 0 ? null : request.startedMs / 1000,
    acknowledged: request.settled,
    delivery_info: {
      exchange: decoded.deliveryInfo.exchange,
      routing_key: decoded.deliveryInfo.routingKey,
      priority: decoded.priority,
      redelivered: decoded.deliveryInfo.redelivered || delivery.redelivered,
    },
    worker_pid: request.pid === 0 ? null : request.pid,
  };
}

/** Every request that this worker has, by id. */
export function requestsById(
  state: ControlState,
): ReadonlyMap<string, { readonly request: Request; readonly state: "active" | "reserved" }> {
  const { consumer } = state.tasks;
  const found = new Map<string, { readonly request: Request; readonly state: "active" | "reserved" }>();
  for (const { request } of consumer.scheduled()) found.set(request.id, { request, state: "reserved" });
  for (const request of consumer.waiting()) found.set(request.id, { request, state: "reserved" });
  for (const request of consumer.active) found.set(request.id, { request, state: "active" });
  return found;
}
