/** Signals and middleware around publishing. Off (nobody connected) it costs one property read for each send. */
import type { Logger } from "../base/logger.ts";
import type { SignalEmitters } from "./internals.ts";
import type { Built, Send } from "./producer.ts";
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
    let waiting = many.length;
    let release: (published: Promise<void>) => void = () => {};
    const published = new Promise<void>((resolve) => {
      release = resolve;
    });
    published.catch(() => {});
    const arrived = (): void => {
      waiting -= 1;
      if (waiting > 0) return;
      const out = ready.filter((built) => built !== null);
      release(out.length === 0 ? Promise.resolve() : given.publish(out));
    };
    const ends = await Promise.allSettled(
      many.map(async ({ built }, index) => {
        const event = given.events[index] as PublishEvent;
        let called = false;
        const next = (): Promise<void> => {
          if (!called) {
            called = true;
            ready[index] = changed(built, event);
            arrived();
          }
          return published;
        };
        try {
          await this.#wrapped(event, next);
        } finally {
          if (!called) {
            called = true;
            arrived();
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
