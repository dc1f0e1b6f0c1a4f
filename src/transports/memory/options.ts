/** `broker_transport_options` as the memory transport reads them, in Python's or in camelCase spelling. */
import { nearest } from "../../base/nearest.ts";
import { ImproperlyConfigured } from "../../errors.ts";
import { DEFAULT_LOSS_POLICY, type LossPolicy } from "../losses.ts";
import { OPTION_NAMES } from "../redis/options.ts";

/** Counterpart: kombu `utils/scheduling.py`. `sorted`: by name; `priority`: as given; both drain the first queue first. */
export type QueueOrder = "round_robin" | "sorted" | "priority";

export interface MemoryOptions extends LossPolicy {
  readonly prioritySteps: readonly number[];
  readonly order: QueueOrder;
}

/** What has a meaning here; the Redis transport's other options are taken too, so that only the URL need be changed. */
const OWN_NAMES: readonly string[] = [
  "priority_steps",
  "queue_order_strategy",
  "delivery_limit",
  "redelivery_backoff",
  "redelivery_backoff_max",
];

/** The transport that reads them, and what else has a meaning there. */
export interface OptionReader {
  readonly scheme: string;
  readonly others: readonly string[];
}

const MEMORY: OptionReader = { scheme: "memory://", others: [] };

export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** @throws ImproperlyConfigured for an unknown name or a value that is no use */
export function readMemoryOptions(
  options: Readonly<Record<string, unknown>>,
  reader: OptionReader = MEMORY,
): MemoryOptions {
  let prioritySteps: readonly number[] = [0, 3, 6, 9];
  let order: QueueOrder = "round_robin";
  let { deliveryLimit, redeliveryBackoffMs, redeliveryBackoffMaxMs } = DEFAULT_LOSS_POLICY;
  for (const [given, value] of Object.entries(options)) {
    const name = snakeCase(given);
    if (value === undefined) continue;
    switch (name) {
      case "priority_steps":
        prioritySteps = readSteps(value);
        break;
      case "queue_order_strategy":
        order = readOrder(value);
        break;
      case "delivery_limit":
        deliveryLimit = readLimit(value);
        break;
      case "redelivery_backoff":
        redeliveryBackoffMs = readSeconds(name, value) * 1000;
        break;
      case "redelivery_backoff_max":
        redeliveryBackoffMaxMs = readSeconds(name, value) * 1000;
        break;
      default:
        if (!OPTION_NAMES.includes(name)) throw unknownOption(given, name, reader);
    }
  }
  return { prioritySteps, order, deliveryLimit, redeliveryBackoffMs, redeliveryBackoffMaxMs };
}

function readSteps(value: unknown): readonly number[] {
  const steps = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (steps.length === 0 || !steps.every((step) => Number.isInteger(step) && (step as number) >= 0)) {
    throw invalid("priority_steps", "a list of whole numbers, such as [0, 3, 6, 9]", value);
  }
  return [...new Set(steps as readonly number[])].sort((a, b) => a - b);
}

function readOrder(value: unknown): QueueOrder {
  if (value === "round_robin" || value === "sorted" || value === "priority") return value;
  throw invalid("queue_order_strategy", "round_robin, sorted or priority", value);
}

function readLimit(value: unknown): number {
  if (Number.isInteger(value) && (value as number) >= 1) return value as number;
  throw invalid("delivery_limit", "a whole number of 1 or more", value);
}

export function readSeconds(name: string, value: unknown): number {
  if (typeof value === "number" && Number.isFinite(value) && value >= 0) return value;
  throw invalid(name, "a number of seconds, at least 0", value);
}

function invalid(name: string, expected: string, value: unknown): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `broker_transport_options ${JSON.stringify(name)} is ${JSON.stringify(value)}; expected ${expected}`,
  );
}

function unknownOption(given: string, name: string, { scheme, others }: OptionReader): ImproperlyConfigured {
  const near = nearest(name, OPTION_NAMES);
  return new ImproperlyConfigured(
    `broker_transport_options has no option ${JSON.stringify(given)}${near === null ? "" : `; the nearest is ${JSON.stringify(near)}`} (${scheme} has ${[...OWN_NAMES, ...others].join(", ")}, and takes the others without effect)`,
    { code: "PET_CONFIG_UNKNOWN" },
  );
}

/** Index of the step that serves a priority: the last one that is not above it; below all of them the last, as kombu's bisect. */
export function stepIndex(steps: readonly number[], priority: number): number {
  const clamped = Math.max(0, Math.min(9, Math.trunc(priority) || 0));
  if ((steps[0] ?? 0) > clamped) return steps.length - 1;
  let index = 0;
  while (index + 1 < steps.length && (steps[index + 1] ?? 10) <= clamped) index += 1;
  return index;
}
