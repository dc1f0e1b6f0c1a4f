/** What a worker, the CLI and the tests need of an app beyond its public face. */
import type { ResultBackend } from "../backends/backend.ts";
import type { Clock } from "../base/clock.ts";
import type { Emitter } from "../base/emitter.ts";
import type { LamportClock } from "../base/lamport-clock.ts";
import type { Logger } from "../base/logger.ts";
import type { Planned, Sender, SendParent } from "../canvas/sender.ts";
import type { Limits } from "../protocol/wire.ts";
import type { TaskDefinition } from "../task/definition.ts";
import type { QueueDeclaration, Transport } from "../transports/transport.ts";
import type { PublishClaim } from "../transports/unique-locks.ts";
import type { Celery } from "./app.ts";
import type { ControlClient } from "./control.ts";
import type { OwnCommand } from "./control-commands.ts";
import type { PeriodicTask } from "./periodic.ts";
import type { HandOver } from "./publisher.ts";
import type { Settings } from "./settings-types.ts";
import type { Middleware, SignalEvents } from "./signal-types.ts";
import type { Steps } from "./steps.ts";

/** Settings after defaults: nothing is undefined, what has no value is null. */
export type ResolvedSettings = { readonly [K in keyof Settings]-?: Exclude<Settings[K], undefined> | null };

/** Sending side of every signal. */
export type SignalEmitters = { readonly [K in keyof SignalEvents]: Emitter<SignalEvents[K]> };

/** One run of a periodic task. */
export interface PeriodicRun {
  /** The task's id: the same at every attempt. */
  readonly id: string;
  /** Names the run for all schedulers of the broker. */
  readonly key: string;
  /** How long the broker refuses to publish it again. */
  readonly keyMs: number;
  /** What the publish is to do besides; null: nothing. */
  readonly claim: PublishClaim | null;
}

export interface AppInternals {
  readonly app: Celery;
  readonly conf: ResolvedSettings;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Of what this process sends and hears beside tasks: events, remote control, gossip. Python: `app.clock`. */
  readonly lamport: LamportClock;
  readonly limits: Limits;
  readonly sender: Sender;
  readonly emitters: SignalEmitters;
  readonly middleware: readonly Middleware[];
  /** Parts that users add to workers. */
  readonly steps: Steps;
  /** Tasks by name, built-in ones too. Complete after `finalize`. */
  readonly registry: ReadonlyMap<string, TaskDefinition>;
  readonly control: ControlClient;
  /** Of the settings and of `addPeriodicTask`, without disabled ones. */
  readonly periodicTasks: readonly PeriodicTask[];
  /** Publishes a run, unless the broker had it before. */
  sendPeriodic(task: PeriodicTask, run: PeriodicRun): Promise<unknown>;
  /** Of `app.control.command`, by name. */
  readonly controlCommands: ReadonlyMap<string, OwnCommand>;
  /** Loads settings of modules that `configFromObject` named: they stand in `app.conf` then. */
  readConfig(): Promise<void>;
  /** Freezes the settings, binds shared tasks, applies annotations, loads `imports` and `include`. Idempotent. */
  finalize(): Promise<void>;
  /** The queues a worker consumes: `taskQueues`, else the default queue; narrowed by -Q and -X. Unknown names are made, or QueueNotFound. */
  consumedQueues(select: readonly string[], exclude: readonly string[]): readonly QueueDeclaration[];
  /** A new transport of its own, not started; the caller stops it. `logger`: instead of the app's. */
  openTransport(role: "producer" | "worker", logger?: Logger): Promise<Transport>;
  /** A new backend of its own, not started; the caller stops it. */
  openBackend(logger?: Logger): Promise<ResultBackend>;
  /** Deletes results whose time is over. How many they were; an app without results has none. */
  cleanup(): Promise<number>;
  /** As `sender.publish`; the messages go through `handOver`, unless it says that it cannot. */
  publishThrough(handOver: HandOver, planned: Planned, parent: SendParent | null): Promise<void>;
  /** Loads a codec that an error of `PET_CODEC_UNAVAILABLE` names. */
  loadCodec(name: string): Promise<void>;
}

/** Marks an app of any copy of Petiole, so that two copies in one process are told apart from something that is no app. */
export const appBrand: unique symbol = Symbol.for("petiole.app");

const internals = new WeakMap<Celery, AppInternals>();

/** Called once, by the constructor of the app. */
export function setInternals(app: Celery, value: AppInternals): void {
  internals.set(app, value);
}

/** The inside of an app. */
export function internalsOf(app: Celery): AppInternals {
  const found = internals.get(app);
  if (!found) throw new TypeError("not a Celery app of this copy of petiole");
  return found;
}
