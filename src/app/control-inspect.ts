/** `app.control.inspect()`: replies of workers as data of this language. Python: `celery.app.control.Inspect`. */
import type { Logger } from "../base/logger.ts";
import type { ActiveQueue, ControlReply, Inspect, Replies, TaskInfo } from "./control-types.ts";

/** Sends a command and gives the replies by node. */
type Request = (command: string, args: Readonly<Record<string, unknown>>) => Promise<Replies<unknown>>;
type Fields = Readonly<Record<string, unknown>>;
type Scheduled = { readonly eta: Date; readonly priority: number; readonly request: TaskInfo };
type Queried = Readonly<Record<string, readonly [state: "active" | "reserved" | "ready", task: TaskInfo]>>;

/** The one implementation of {@link Inspect}. */
export class Inspector implements Inspect {
  readonly #request: Request;
  readonly #logger: Logger;

  constructor(request: Request, logger: Logger) {
    this.#request = request;
    this.#logger = logger;
  }

  active(): Promise<Replies<readonly TaskInfo[]>> {
    return this.#lists("active", { safe: null }, taskInfo);
  }

  reserved(): Promise<Replies<readonly TaskInfo[]>> {
    return this.#lists("reserved", {}, taskInfo);
  }

  scheduled(): Promise<Replies<readonly Scheduled[]>> {
    return this.#lists("scheduled", {}, (one) => ({
      eta: new Date(String(one["eta"])),
      priority: Number(one["priority"]),
      request: taskInfo(fieldsOf(one["request"])),
    }));
  }

  revoked(): Promise<Replies<readonly string[]>> {
    return this.#ask("revoked", {}, textsOf);
  }

  registered(...attributes: string[]): Promise<Replies<readonly string[]>> {
    return this.#ask("registered", { taskinfoitems: attributes }, textsOf);
  }

  activeQueues(): Promise<Replies<readonly ActiveQueue[]>> {
    return this.#lists("active_queues", {}, (one) => {
      const exchange = fieldsOf(one["exchange"]);
      return {
        name: String(one["name"]),
        routingKey: String(one["routing_key"]),
        exchange: { name: String(exchange["name"]), type: String(exchange["type"]) },
      };
    });
  }

  queryTask(...ids: string[]): Promise<Replies<Queried>> {
    return this.#ask("query_task", { ids }, (reply) =>
      Object.fromEntries(
        Object.entries(fieldsOf(reply)).flatMap(([id, pair]) =>
          Array.isArray(pair) ? [[id, [String(pair[0]), taskInfo(fieldsOf(pair[1]))]]] : [],
        ),
      ),
    ) as Promise<Replies<Queried>>;
  }

  stats(): Promise<Replies<Fields>> {
    return this.#ask("stats", {}, fieldsOf);
  }

  conf(options: { readonly withDefaults?: boolean | undefined } = {}): Promise<Replies<Fields>> {
    return this.#ask("conf", { with_defaults: options.withDefaults ?? false }, fieldsOf);
  }

  report(): Promise<Replies<ControlReply>> {
    return this.#ask("report", {}, (reply) => fieldsOf(reply) as ControlReply);
  }

  ping(): Promise<Replies<{ readonly ok: "pong" }>> {
    return this.#ask("ping", {}, (reply) => fieldsOf(reply) as unknown as { readonly ok: "pong" });
  }

  clock(): Promise<Replies<{ readonly clock: number }>> {
    return this.#ask("clock", {}, (reply) => ({ clock: Number(fieldsOf(reply)["clock"]) }));
  }

  #lists<T>(command: string, args: Fields, read: (one: Fields) => T): Promise<Replies<readonly T[]>> {
    return this.#ask(command, args, (reply) =>
      (Array.isArray(reply) ? (reply as unknown[]) : []).map((one) => read(fieldsOf(one))),
    );
  }

  async #ask<T>(command: string, args: Fields, read: (reply: unknown) => T): Promise<Replies<T>> {
    const replies = Object.entries(await this.#request(command, args));
    const good = replies.filter(([node, reply]) => {
      const { error } = fieldsOf(reply);
      if (typeof error !== "string") return true;
      this.#logger.warn({ node, command, error }, "a worker refused a command of remote control");
      return false;
    });
    return Object.fromEntries(good.map(([node, reply]) => [node, read(reply)]));
  }
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

function taskInfo(one: Fields): TaskInfo {
  const started = one["time_start"];
  const info = fieldsOf(one["delivery_info"]);
  const pid = one["worker_pid"];
  return {
    id: String(one["id"]),
    name: String(one["name"]),
    args: (one["args"] ?? []) as TaskInfo["args"],
    kwargs: (one["kwargs"] ?? {}) as TaskInfo["kwargs"],
    type: String(one["type"]),
    hostname: String(one["hostname"]),
    timeStart: typeof started === "number" ? new Date(started * 1000) : null,
    acknowledged: one["acknowledged"] === true,
    deliveryInfo: {
      exchange: textOf(info["exchange"]),
      routingKey: textOf(info["routing_key"]),
      priority: Number(info["priority"] ?? 0),
      redelivered: info["redelivered"] === true,
    },
    workerPid: typeof pid === "number" ? pid : null,
  };
}
