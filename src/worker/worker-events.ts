/**
 * The events of one worker: its heartbeats, and those of its tasks when they are on. Python: the dispatcher and the heart of
 * `celery/worker/consumer`.
 */
import { loadavg, type as systemType } from "node:os";
import { version } from "../base/version.ts";
import { EventDispatcher, type EventDispatcherOptions } from "../events/dispatcher.ts";
import { quote } from "../protocol/json-write.ts";
import { type EventSwitch, TaskEvents } from "./task-events.ts";

/** What heartbeats tell. */
export interface WorkerStatus {
  /** Tasks that run. */
  readonly active: number;
  /** Tasks that have ended. */
  readonly processed: number;
}

export interface WorkerEventsOptions extends Omit<EventDispatcherOptions, "groups"> {
  /** `-E`. */
  readonly taskEvents: boolean;
  /** Seconds between two heartbeats, as they tell. */
  readonly freq: number;
  status(): WorkerStatus;
  /** Called with each heartbeat. */
  onHeartbeat(): void;
}

export type WorkerEventType = "worker-online" | "worker-heartbeat" | "worker-offline";

/** Sent heartbeats that are remembered, to tell them from those of another worker of the same name. */
const REMEMBERED = 64;
const GROUPS = ["worker"] as const;

export class WorkerEvents implements EventSwitch {
  readonly dispatcher: EventDispatcher;
  /** null: events of tasks are off. Written by `enable` and `disable`. */
  tasks: TaskEvents | null = null;
  readonly #options: WorkerEventsOptions;
  readonly #software = `,"sw_ident":"petiole","sw_ver":${quote(version())},"sw_sys":${quote(systemType())}`;
  /** Logical clocks of the heartbeats that were sent last. */
  readonly #sent: number[] = [];

  constructor(options: WorkerEventsOptions) {
    this.#options = options;
    this.dispatcher = new EventDispatcher({ ...options, groups: GROUPS });
    if (options.taskEvents) this.enable();
  }

  /** Tells of tasks from now on. False: it does so already. */
  enable(): boolean {
    if (this.tasks !== null) return false;
    this.dispatcher.enable("task");
    this.tasks = new TaskEvents(this.dispatcher);
    return true;
  }

  /** Tells of tasks no more. False: it does not anyway. */
  disable(): boolean {
    if (this.tasks === null) return false;
    this.tasks = null;
    this.dispatcher.flush();
    this.dispatcher.disable("task", GROUPS);
    return true;
  }

  /** A heartbeat now, beside the regular ones. */
  heartbeat(): void {
    this.announce("worker-heartbeat");
  }

  /** Tells that the worker is there, or leaves. */
  announce(type: WorkerEventType): void {
    const { active, processed } = this.#options.status();
    const load = loadavg().map((one) => one.toFixed(2));
    this.dispatcher.sendText(
      type,
      `,"freq":${fractional(this.#options.freq)},"active":${active},"processed":${processed},"loadavg":[${load.join(",")}]${this.#software}`,
    );
    if (this.#sent.push(this.#options.lamport.value) > REMEMBERED) this.#sent.shift();
    this.#options.onHeartbeat();
  }

  /** Whether the heartbeat of this logical clock was sent here. */
  isOwn(clock: number | null): boolean {
    return clock !== null && this.#sent.includes(clock);
  }

  /** An event of a task's own, whether events of tasks are on or not. `fields`: as `encodeOwnEvent` gives them. */
  custom(id: string, type: string, fields: string): void {
    // What was told of the task before goes out first.
    this.dispatcher.flush();
    this.dispatcher.publishText(type, `,"uuid":${quote(id)}${fields}`);
  }

  close(): void {
    this.dispatcher.close();
  }
}

/** A float to Python. */
function fractional(value: number): string {
  return Number.isInteger(value) ? `${value}.0` : `${value}`;
}
