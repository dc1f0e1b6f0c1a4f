/** Commands that look at tasks. */

import { toIso } from "../../protocol/iso8601.ts";
import type { ResolvedTaskOptions } from "../../task/definition.ts";
import type { Strategy } from "../strategy.ts";
import { flagOf, textsOf } from "./arguments.ts";
import type { CommandGroup, ControlState } from "./state.ts";
import { requestsById, taskInfo } from "./task-info.ts";

/** Of Celery's timer, for tasks with an ETA. */
const ETA_PRIORITY = 6;
const DEFAULT_ITEMS = ["exchange", "routing_key", "rate_limit"];

export const TASK_COMMANDS: CommandGroup = {
  active({ context, tasks }, args) {
    const safe = flagOf(args, "safe");
    return [...tasks.consumer.active].map((one) => taskInfo(one, context.settings.hostname, safe));
  },

  reserved({ context, tasks }) {
    return tasks.consumer.waiting().map((one) => taskInfo(one, context.settings.hostname));
  },

  scheduled({ context, tasks }) {
    return tasks.consumer.scheduled().map(({ request, etaMs }) => ({
      eta: toIso(etaMs),
      priority: ETA_PRIORITY,
      request: taskInfo(request, context.settings.hostname),
    }));
  },

  query_task(state, args) {
    const known = requestsById(state);
    const { hostname } = state.context.settings;
    return Object.fromEntries(
      textsOf(args, "ids").flatMap((id) => {
        const found = known.get(id);
        return found === undefined ? [] : [[id, [found.state, taskInfo(found.request, hostname)]]];
      }),
    );
  },

  revoked({ context }) {
    return context.revoked.ids.entries().map(([id]) => id);
  },

  registered(state, args) {
    const wanted = textsOf(args, "taskinfoitems");
    const items = wanted.length > 0 ? wanted : DEFAULT_ITEMS;
    const withBuiltins = flagOf(args, "builtins");
    const names = [...state.context.app.registry.keys()].sort();
    return names
      .filter((name) => withBuiltins || !name.startsWith("celery."))
      .map((name) => described(state, name, items));
  },
};

/** `shop.add [rate_limit=10/m]`. */
function described({ tasks }: ControlState, name: string, items: readonly string[]): string {
  const strategy = tasks.strategies.of(name);
  const fields = items.flatMap((item) => {
    const value = strategy === null ? null : attribute(strategy, item);
    return value === null ? [] : [`${item}=${value}`];
  });
  return fields.length === 0 ? name : `${name} [${fields.join(" ")}]`;
}

/** Option of a task by its name in Python, as Python's `str` shows it; null: none, or no such option. */
function attribute(strategy: Strategy, item: string): string | null {
  if (item === "name") return strategy.name;
  if (item === "rate_limit") return shown(strategy.rateLimit);
  if (item === "time_limit") return shown(seconds(strategy.timeLimitMs));
  if (item === "soft_time_limit") return shown(seconds(strategy.softTimeLimitMs));
  const key = item.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  const options: ResolvedTaskOptions = strategy.definition.options;
  return Object.hasOwn(options, key) ? shown(options[key as keyof ResolvedTaskOptions]) : null;
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1000;
}

function shown(value: unknown): string | null {
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "string" || typeof value === "number" ? String(value) : null;
}
