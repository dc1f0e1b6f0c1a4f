/**
 * Listens to the other workers of the cluster: who is there, who leaves, who is lost; keeps the logical clock; elections.
 * Python: `celery/worker/consumer/gossip.py`.
 */

import type { AppInternals } from "../app/internals.ts";
import type { Timer } from "../base/clock.ts";
import { Emitter, type Signal } from "../base/emitter.ts";
import type { Logger } from "../base/logger.ts";
import { TestSignal } from "../base/test-signal.ts";
import { uuid4 } from "../base/uuid.ts";
import { EventDecoder } from "../events/receiver.ts";
import { EventState } from "../events/state.ts";
import type { WorkerView } from "../events/views.ts";
import type { AnyEvent } from "../protocol/events.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { WireMessage } from "../protocol/wire.ts";
import type { Transport } from "../transports/transport.ts";
import { Elections } from "./election.ts";
import type { WorkerEvents } from "./worker-events.ts";

export interface GossipOptions {
  readonly app: AppInternals;
  readonly hostname: string;
  readonly pid: number;
  readonly events: WorkerEvents;
  readonly transport: Transport;
  readonly logger: Logger;
}

/** Hooks of a worker's view of the others. */
export interface NodeSignals {
  /** A worker is heard of for the first time, or says that it has started. */
  readonly nodeJoin: Signal<WorkerView>;
  /** A worker says that it stops. */
  readonly nodeLeave: Signal<WorkerView>;
  /** A worker has sent no heartbeat for twice the time it sends them in. */
  readonly nodeLost: Signal<WorkerView>;
}

/** How often lost workers are looked for. ms. */
const LOOK_MS = 5_000;
const RETRY_MS = 5_000;

export class Gossip {
  readonly elections: Elections;
  readonly on: { readonly [K in keyof NodeSignals]: Emitter<WorkerView> } = {
    nodeJoin: new Emitter<WorkerView>(),
    nodeLeave: new Emitter<WorkerView>(),
    nodeLost: new Emitter<WorkerView>(),
  };
  readonly testSignals: { readonly heard: TestSignal<AnyEvent>; readonly listening: TestSignal<true> } = {
    heard: new TestSignal<AnyEvent>(),
    listening: new TestSignal<true>(),
  };
  readonly #options: GossipOptions;
  readonly #decoder: EventDecoder;
  readonly #state: EventState;
  #subscription: { close(): Promise<void> } | null = null;
  #timer: Timer | null = null;
  #retry: Timer | null = null;
  #stopped = false;
  /** Process ids of other workers of our name that the log has named. */
  readonly #doubles = new Set<number>();

  constructor(options: GossipOptions) {
    const { app, hostname, pid, logger, events } = options;
    const { clock, conf } = app;
    this.#options = options;
    const accept = ["json", conf.eventSerializer ?? "json"];
    this.#decoder = new EventDecoder({
      settings: () => ({ accept }),
      clock,
      lamport: app.lamport,
      logger,
      limits: app.limits,
    });
    this.#state = new EventState(
      {
        maxTasks: 1,
        onNodeJoin: (worker) => this.#joined(worker),
        onNodeLeave: (worker) => this.#left(worker),
        onDrift: ({ hostname: node, drift }) =>
          logger.warn(
            { node, seconds: drift },
            "the wall clocks of another worker and of this one differ: ETAs and expiry are not what they seem",
          ),
      },
      () => clock.now() / 1000,
    );
    this.elections = new Elections({
      hostname,
      pid,
      clock,
      logger,
      peers: () =>
        this.peers().map((one) => ({ hostname: one.hostname, holdsAcks: one.swIdent === "petiole" })),
      send: (type, fields) => events.dispatcher.send(type, fields),
    });
    this.elections.handlers.set("task", (action) => this.#sendTask(action));
  }

  /** Other workers that live. */
  peers(): readonly WorkerView[] {
    return this.#state.aliveWorkers();
  }

  /** Begins to listen, in the background: a worker does not wait for it. */
  start(): void {
    const { clock } = this.#options.app;
    void this.#subscribe();
    const look = (): void => {
      this.#timer = clock.setTimer(LOOK_MS, look, { unref: true });
      this.#look();
    };
    this.#timer = clock.setTimer(LOOK_MS, look, { unref: true });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#retry?.cancel();
    this.elections.stop();
    await this.#subscription?.close();
  }

  async #subscribe(): Promise<void> {
    const { app, transport, logger } = this.#options;
    try {
      const subscription = await transport.subscribe({
        exchange: app.conf.eventExchange ?? "celeryev",
        routingKey: "worker.#",
        onMessage: (message) => this.#onMessage(message),
        onGap: () => {},
      });
      if (this.#stopped) return await subscription.close();
      this.#subscription = subscription;
      this.testSignals.listening.signal(true);
    } catch (err) {
      if (this.#stopped) return;
      logger.warn({ err }, "the events of other workers cannot be listened to: trying again");
      this.#retry = app.clock.setTimer(RETRY_MS, () => void this.#subscribe(), { unref: true });
    }
  }

  #onMessage(message: WireMessage): void {
    for (const event of this.#decoder.read(message)) this.#onEvent(event);
  }

  #onEvent(event: AnyEvent): void {
    if (this.#stopped) return;
    if (event.type === "worker-elect") this.elections.onElect(event);
    else if (event.type === "worker-elect-ack") this.elections.onAck(event);
    else if (event.hostname === this.#options.hostname) this.#checkDouble(event);
    else if (event.type.startsWith("worker-")) this.#state.event(event);
    this.testSignals.heard.signal(event);
  }

  /** Heartbeats of our name that are not ours. In containers even the process ids may be the same. */
  #checkDouble(event: AnyEvent): void {
    const { hostname, pid, events, logger } = this.#options;
    if (event.pid === pid && events.isOwn(event.clock)) return;
    const other = event.pid ?? 0;
    if (this.#doubles.has(other) || this.#doubles.size > 100) return;
    this.#doubles.add(other);
    logger.warn(
      { hostname, pid, other },
      "another worker has the node name of this one: give each its own with -n, or monitors and remote control mix them up",
    );
  }

  #look(): void {
    for (const worker of this.#state.dropLost()) {
      this.#options.logger.info({ node: worker.hostname }, "missed heartbeat of a worker");
      this.#emit(this.on.nodeLost, worker);
    }
  }

  #joined(worker: WorkerView): void {
    this.#options.logger.debug({ node: worker.hostname }, "a worker joined");
    this.#emit(this.on.nodeJoin, worker);
  }

  #left(worker: WorkerView): void {
    this.#options.logger.debug({ node: worker.hostname }, "a worker left");
    this.#emit(this.on.nodeLeave, worker);
  }

  #emit(emitter: Emitter<WorkerView>, worker: WorkerView): void {
    if (!emitter.active) return;
    const { logger } = this.#options;
    void emitter.emit(worker, { onError: (err) => logger.error({ err }, "a hook of gossip failed") });
  }

  /** The topic `task`: the action is a signature. */
  async #sendTask(action: unknown): Promise<void> {
    const signature = readSignature(action, "the action of the election");
    const { sender } = this.#options.app;
    await sender.publish(await sender.plan(signature, { args: [], kwargs: {}, options: {} }, uuid4), null);
  }
}
