/** What is the same for every send of one task: worked out once, from its options, the routes and the settings. */
import type { AnyTaskOptions } from "../task/options.ts";
import type { TaskTable } from "../task/registry.ts";
import type { StandardSchema } from "../task/schema-types.ts";
import type { ResolvedSettings } from "./internals.ts";
import { ONE_ATTEMPT, type PublishPolicy, publishPolicy } from "./publish-retry.ts";
import type { Destination, Queues } from "./queues.ts";
import type { Router } from "./routes.ts";
import type { Route } from "./settings-types.ts";
import { type UniquePlan, uniquePlan } from "./unique.ts";

export interface SendPlan {
  readonly task: string;
  /** The task's own options; empty for a task of elsewhere. */
  readonly own: AnyTaskOptions;
  /** One object argument, sent as keyword arguments. */
  readonly input: StandardSchema | null;
  /** null: a function of `taskRoutes` decides at each send. */
  readonly destination: Destination | null;
  /** null also where a function decides. */
  readonly route: Route | null;
  readonly serializer: string;
  readonly compression: string | null;
  /** Of the task, then of its route; `task_default_priority` is {@link SendDefaults}'. */
  readonly priority: number | null;
  readonly ignoreResult: boolean;
  readonly policy: PublishPolicy;
  readonly deliveryMode: 1 | 2;
  /** null: not a unique task. */
  readonly unique: UniquePlan | null;
  /** Runs here, though the settings may say eager: a task of elsewhere never does. */
  readonly registered: boolean;
}

/** Names remembered at most: `sendTask` may be given names that are built. */
const MAX_PLANS = 10_000;

/** Makes plans and keeps them. One is made when the settings are final. */
export class Planner {
  readonly #conf: ResolvedSettings;
  readonly #tasks: TaskTable;
  readonly #router: Router;
  readonly #queues: Queues;
  /** Of tasks with their own options. */
  readonly #plans = new Map<string, SendPlan>();
  /** Of names alone: `sendTask`. */
  readonly #bare = new Map<string, SendPlan>();

  constructor(parts: {
    readonly conf: ResolvedSettings;
    readonly tasks: TaskTable;
    readonly router: Router;
    readonly queues: Queues;
  }) {
    this.#conf = parts.conf;
    this.#tasks = parts.tasks;
    this.#router = parts.router;
    this.#queues = parts.queues;
  }

  /** `bare`: by name alone, without the options of a task that is registered here. */
  plan(task: string, bare: boolean): SendPlan {
    const plans = bare ? this.#bare : this.#plans;
    const known = plans.get(task);
    if (known !== undefined) return known;
    const plan = this.#make(task, bare);
    if (plans.size >= MAX_PLANS) plans.clear();
    plans.set(task, plan);
    return plan;
  }

  /** A task of this name was registered just now. */
  forget(task: string): void {
    this.#plans.delete(task);
  }

  /** Where a send goes whose options, or a route function, have a say. */
  destination(plan: SendPlan, options: object, route: Route | null): Destination {
    return this.#queues.destination(
      Object.keys(plan.own).length === 0 ? options : { ...plan.own, ...defined(options) },
      route,
    );
  }

  /** What a route function says of this send. */
  route(plan: SendPlan, call: Parameters<Router["route"]>[1]): Route | null {
    return this.#router.route(plan.task, call);
  }

  #make(task: string, bare: boolean): SendPlan {
    const registered = this.#tasks.get(task);
    const own = bare || registered === undefined ? {} : registered.own;
    const { dynamic } = this.#router;
    const route = dynamic ? null : this.#router.route(task, { args: [], kwargs: {}, options: {} });
    const conf = this.#conf;
    return {
      task,
      own,
      input: bare ? null : (registered?.definition.input ?? null),
      destination: dynamic ? null : this.#queues.destination(own, route),
      route,
      serializer: own.serializer ?? route?.serializer ?? conf.taskSerializer ?? "json",
      compression: own.compression ?? route?.compression ?? conf.taskCompression,
      priority: own.priority ?? route?.priority ?? null,
      ignoreResult: bare ? false : (registered?.definition.options.ignoreResult ?? false),
      policy: this.policy(route, undefined),
      deliveryMode: route?.deliveryMode ?? (conf.taskDefaultDeliveryMode === 1 ? 1 : 2),
      unique: uniquePlan(own.unique),
      registered: !bare && registered !== undefined,
    };
  }

  /** `retry` and `retryPolicy` of a send over its route's, over the settings. */
  policy(route: Route | null, options: Pick<Route, "retry" | "retryPolicy"> | undefined): PublishPolicy {
    const conf = this.#conf;
    if ((options?.retry ?? route?.retry ?? conf.taskPublishRetry) === false) return ONE_ATTEMPT;
    return publishPolicy(conf.taskPublishRetryPolicy, route?.retryPolicy, options?.retryPolicy);
  }
}

function defined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter((entry) => entry[1] !== undefined));
}
