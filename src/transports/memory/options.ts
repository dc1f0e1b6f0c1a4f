/** `broker_transport_options` as the memory transport reads them, in Python's or in camelCase spelling. */
import { ImproperlyConfigured } from "../../errors.ts";

/** Counterpart: kombu `utils/scheduling.py`. `sorted`: by name; `priority`: as given; both drain the first queue first. */
export type QueueOrder = "round_robin" | "sorted" | "priority";

export interface MemoryOptions {
  readonly prioritySteps: readonly number[];
  readonly order: QueueOrder;
  readonly deliveryLimit: number;
}

/** Options of kombu's and of our Redis transport that mean nothing in one process: taken, so that a test may only change the URL. */
const WITHOUT_EFFECT = new Set([
  "sep",
  "visibility_timeout",
  "unacked_key",
  "unacked_index_key",
  "unacked_mutex_key",
  "unacked_mutex_expire",
  "unacked_restore_limit",
  "ack_emulation",
  "fanout_prefix",
  "fanout_patterns",
  "global_keyprefix",
  "body_encoding",
  "socket_timeout",
  "socket_connect_timeout",
  "socket_keepalive",
  "socket_keepalive_options",
  "max_connections",
  "health_check_interval",
  "retry_on_timeout",
  "client_name",
  "polling_interval",
  "lease",
  "sweep_interval",
  "sweep_grace",
  "worker_stall_limit",
  "fetch_batch",
  "park_after",
  "hold_max",
  "wake",
  "poll_interval",
  "wake_spread",
  "command_deadline",
  "finish_batch",
]);

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** @throws ImproperlyConfigured for an unknown name or a value that is no use */
export function readMemoryOptions(options: Readonly<Record<string, unknown>>): MemoryOptions {
  let prioritySteps: readonly number[] = [0, 3, 6, 9];
  let order: QueueOrder = "round_robin";
  let deliveryLimit = 3;
  for (const [given, value] of Object.entries(options)) {
    const name = snakeCase(given);
    if (value === undefined || value === null || WITHOUT_EFFECT.has(name)) continue;
    switch (name) {
      case "priority_steps":
        prioritySteps = readSteps(value);
        break;
      case "queue_order_strategy":
        order = readOrder(value);
        break;
      case "delivery_limit":
        if (typeof value !== "number" || !(value >= 0)) {
          throw new ImproperlyConfigured(`brokerTransportOptions.${given} must be a number of 0 or more`);
        }
        deliveryLimit = value;
        break;
      default:
        throw new ImproperlyConfigured(
          `brokerTransportOptions has no option ${JSON.stringify(given)} for memory://; it has priority_steps, queue_order_strategy and delivery_limit`,
        );
    }
  }
  return { prioritySteps, order, deliveryLimit };
}

function readSteps(value: unknown): readonly number[] {
  const steps = Array.isArray(value) ? (value as readonly unknown[]) : [];
  const sorted = [...new Set(steps.filter((step) => isPriority(step)))].sort((a, b) => a - b);
  if (sorted.length === 0 || sorted.length !== steps.length || sorted[0] !== 0) {
    throw new ImproperlyConfigured(
      "brokerTransportOptions.priority_steps must be a list of different whole numbers of 0-9 that has 0",
    );
  }
  return sorted;
}

function isPriority(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 9;
}

function readOrder(value: unknown): QueueOrder {
  if (value === "round_robin" || value === "sorted" || value === "priority") return value;
  throw new ImproperlyConfigured(
    `brokerTransportOptions.queue_order_strategy must be round_robin, sorted or priority, not ${JSON.stringify(value)}`,
  );
}

/** Index of the step that serves a priority: the last one that is not above it. */
export function stepIndex(steps: readonly number[], priority: number): number {
  let index = 0;
  while (index + 1 < steps.length && (steps[index + 1] ?? 10) <= priority) index += 1;
  return index;
}
