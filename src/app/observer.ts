/** Signals and middleware around publishing. Off (nobody connected) it costs one property read for each send. */
import type { Logger } from "../base/logger.ts";
import type { SignalEmitters } from "./internals.ts";
import type { Built, Send } from "./send-builder.ts";
import type { Middleware, SignalEvents } from "./signal-types.ts";

type PublishEvent = SignalEvents["beforeTaskPublish"];
type WrapPublish = NonNullable<Middleware["publish"]>;

/** A send with its message. */
export interface Observed {
  readonly send: Send;
  readonly built: Built;
}

export class Observer {
  readonly #emitters: SignalEmitters;
  readonly #logger: Logger;
  /** Middleware that wraps publishing, outermost first. Written by `use`. */
  readonly #wraps: WrapPublish[] = [];

  constructor(emitters: SignalEmitters, logger: Logger) {
    this.#emitters = emitters;
    this.#logger = logger;
  }

  /** Somebody wants to see, or to change, what is published. */
  get active(): boolean {
    return (
      this.#wraps.length > 0 ||
      this.#emitters.beforeTaskPublish.active ||
      this.#emitters.afterTaskPublish.active
    );
  }

  use(middleware: Middleware): void {
    if (middleware.publish) this.#wraps.push(middleware.publish.bind(middleware));
  }

  /** One send: `publish` is called with the message as handlers and middleware left it. */
  async publish(observed: Observed, publish: (built: Built) => Promise<void>): Promise<void> {
    const event = eventOf(observed);
    await this.#before(event);
    await this.#wrapped(event, () => publish(changed(observed.built, event)));
    await this.#after(event);
  }

  /**
   * Many sends in one round trip: the middleware of each runs around it, and the publish starts when every one of them
   * has called `next` or has ended without.
   */
  async publishMany(
    many: readonly Observed[],
    publish: (built: readonly Built[]) => Promise<void>,
  ): Promise<void> {
    const events = many.map(eventOf);
    for (const event of events) await this.#before(event);
    if (this.#wraps.length === 0) {
      await publish(many.map(({ built }, index) => changed(built, events[index] as PublishEvent)));
    } else await this.#together(many, { events, publish });
    for (const event of events) await this.#after(event);
  }

  async #together(
    many: readonly Observed[],
    given: {
      readonly events: readonly PublishEvent[];
      readonly publish: (built: readonly Built[]) => Promise<void>;
    },
  ): Promise<void> {
    const ready: (Built | null)[] = many.map(() => null);
    const gate = new Gate(many.length, async () => {
      const out = ready.filter((built) => built !== null);
      if (out.length > 0) await given.publish(out);
    });
    const ends = await Promise.allSettled(
      many.map(async ({ built }, index) => {
        const event = given.events[index] as PublishEvent;
        let called = false;
        const next = (): Promise<void> => {
          if (!called) {
            called = true;
            ready[index] = changed(built, event);
            gate.arrive();
          }
          return gate.opened;
        };
        try {
          await this.#wrapped(event, next);
        } finally {
          if (!called) {
            called = true;
            gate.arrive();
          }
        }
      }),
    );
    const failed = ends.find((end) => end.status === "rejected");
    if (failed) throw failed.reason;
  }

  #wrapped(event: PublishEvent, publish: () => Promise<void>): Promise<void> {
    const call = (index: number): Promise<void> => {
      const wrap = this.#wraps[index];
      return wrap === undefined ? publish() : wrap(event, () => call(index + 1));
    };
    return call(0);
  }

  async #before(event: PublishEvent): Promise<void> {
    const emitter = this.#emitters.beforeTaskPublish;
    if (emitter.active) await emitter.emit(event, { sender: event.task, onError: this.#report });
  }

  async #after(event: PublishEvent): Promise<void> {
    const emitter = this.#emitters.afterTaskPublish;
    if (emitter.active) await emitter.emit(event, { sender: event.task, onError: this.#report });
  }

  readonly #report = (error: unknown): void => {
    this.#logger.error({ err: error }, "a signal handler failed");
  };
}

/** Runs something once, when so many have arrived; all wait for its end. */
class Gate {
  readonly opened: Promise<void>;
  #waiting: number;
  #open: () => void = () => {};

  constructor(count: number, run: () => Promise<void>) {
    this.#waiting = count;
    const arrived = new Promise<void>((resolve) => {
      this.#open = resolve;
    });
    this.opened = arrived.then(run);
    this.opened.catch(() => {});
  }

  arrive(): void {
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#open();
  }
}

function eventOf({ send, built }: Observed): PublishEvent {
  const { message, exchange, routingKey } = built.outgoing;
  return {
    task: send.plan.task,
    id: built.id,
    exchange,
    routingKey,
    args: send.args,
    kwargs: send.kwargs,
    headers: { ...message.headers },
    properties: { ...message.properties },
  };
}

/** Headers and properties are what the handlers left; a new priority also chooses the queue's list. */
function changed(built: Built, event: PublishEvent): Built {
  const { headers, properties } = event;
  const priority = properties["priority"];
  return {
    ...built,
    outgoing: {
      ...built.outgoing,
      message: { ...built.outgoing.message, headers, properties },
      priority: typeof priority === "number" ? Math.min(Math.max(Math.trunc(priority), 0), 9) : 0,
    },
  };
}
