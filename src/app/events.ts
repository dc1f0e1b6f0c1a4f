/** `app.events`: listening to what workers and clients tell. Python: `celery/app/events.py`. */
import { EventReceiver, type EventReceiverOptions } from "../events/receiver.ts";
import { EventState, type EventStateOptions } from "../events/state.ts";
import type { AppCore } from "./core.ts";

/** Events of workers, tasks and clients. */
export class AppEvents {
  readonly #core: AppCore;

  constructor(core: AppCore) {
    this.#core = core;
  }

  /** Listens on a connection of its own. Python: `app.events.Receiver`. */
  receiver(options: EventReceiverOptions = {}): EventReceiver {
    const core = this.#core;
    const serializer = (): string => core.conf.eventSerializer ?? "json";
    return new EventReceiver(
      {
        openTransport: () => core.openTransport("producer"),
        async prepare() {
          await core.prepare();
          if (serializer() !== "json") await core.loadCodec(serializer());
        },
        settings: () => ({
          exchange: core.conf.eventExchange ?? "celeryev",
          controlExchange: core.conf.controlExchange ?? "celery",
          accept: ["json", serializer()],
        }),
        clock: core.clock,
        lamport: core.lamport,
        logger: core.logger,
        limits: core.limits,
      },
      options,
    );
  }

  /** What events say of the cluster, kept in memory. Python: `app.events.State`. */
  state(options: EventStateOptions = {}): EventState {
    const { clock, logger } = this.#core;
    const onDrift: EventStateOptions["onDrift"] = ({ hostname, drift }) =>
      logger.warn({ hostname, drift }, "the wall clock of a worker and of this process differ");
    return new EventState({ onDrift, ...options }, () => clock.now() / 1000);
  }
}
