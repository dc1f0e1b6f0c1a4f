/** What a transport hears without holding it: broadcasts, and mailboxes of its own. */
import type { WireMessage } from "../../protocol/wire.ts";
import { readText } from "../../sqlite/index.ts";
import { compileSubscription, hears, type TopicPattern } from "../memory/topic.ts";
import type { Mailbox, MailboxOptions } from "../transport.ts";
import type { Store } from "./store.ts";

export interface SubscribeOptions {
  readonly exchange: string;
  readonly routingKey: string;
  onMessage(message: WireMessage): void;
  onGap(): void;
}

interface Subscription extends SubscribeOptions {
  /** null: only messages without a routing key. */
  readonly pattern: TopicPattern | null;
  /** Number of its row. */
  row: number;
  /** The last broadcast that was read. */
  seq: number;
}

export class Hearing {
  readonly #store: Store;
  readonly #subscriptions = new Set<Subscription>();
  readonly #mailboxes = new Map<Mailbox, MailboxOptions>();
  readonly #end: () => void;
  #again: NodeJS.Immediate | null = null;

  constructor(store: Store) {
    this.#store = store;
    this.#end = store.db.onChange(() => this.#read());
  }

  async subscribe(options: SubscribeOptions): Promise<{ close(): Promise<void> }> {
    const { db, routes, holder } = this.#store;
    const { routingKey, exchange } = options;
    const row = await db.write(() => routes.addSubscriber(holder, exchange, routingKey));
    const subscription: Subscription = {
      exchange,
      routingKey,
      onMessage: (message) => options.onMessage(message),
      onGap: () => options.onGap(),
      pattern: compileSubscription(routingKey),
      row,
      seq: db.read(() => routes.lastSeq()),
    };
    this.#subscriptions.add(subscription);
    return {
      close: async () => {
        if (!this.#subscriptions.delete(subscription) || db.closed) return;
        await db.write(() => routes.removeSubscriber(holder, subscription.row));
      },
    };
  }

  /** Others took the holder for a dead one, and deleted its rows. */
  async subscribeAgain(): Promise<void> {
    const { db, routes, holder } = this.#store;
    const subscriptions = this.#subscriptions;
    await db.write(
      () => {
        for (const { row } of subscriptions) routes.removeSubscriber(holder, row);
        for (const one of subscriptions) one.row = routes.addSubscriber(holder, one.exchange, one.routingKey);
      },
      { patient: true },
    );
  }

  async openMailbox(options: MailboxOptions): Promise<Mailbox> {
    const { db, routes, messages } = this.#store;
    const { declaration } = options;
    await db.write(() => routes.bind(declaration));
    const mailbox: Mailbox = {
      close: async () => {
        if (!this.#mailboxes.delete(mailbox) || db.closed) return;
        await db.write(() => {
          routes.unbind(declaration);
          messages.purge(declaration.name);
          db.run("DELETE FROM petiole_mail WHERE queue = ?", declaration.name);
        });
      },
    };
    this.#mailboxes.set(mailbox, options);
    this.#read();
    return mailbox;
  }

  /** Closes what is open. */
  async close(): Promise<void> {
    this.abandon();
    const closing = [...this.#mailboxes.keys()].map((mailbox) => mailbox.close());
    await Promise.allSettled(closing);
  }

  abandon(): void {
    this.#end();
    this.#subscriptions.clear();
    if (this.#again !== null) clearImmediate(this.#again);
  }

  #read(): void {
    if (this.#store.db.closed) return;
    let more = false;
    for (const subscription of this.#subscriptions) more = this.#readBroadcasts(subscription) || more;
    for (const [mailbox, options] of this.#mailboxes) void this.#readMail(mailbox, options);
    if (!more || this.#again !== null) return;
    this.#again = setImmediate(() => {
      this.#again = null;
      this.#read();
    });
  }

  /** true: there are more. */
  #readBroadcasts(subscription: Subscription): boolean {
    const { routes } = this.#store;
    const { messages, seq, missed } = routes.after(subscription.seq, subscription.exchange);
    subscription.seq = seq;
    if (missed) this.#tell(() => subscription.onGap());
    for (const { routingKey, raw } of messages) {
      if (hears(subscription.pattern, routingKey) && this.#subscriptions.has(subscription))
        this.#hear(raw, subscription);
    }
    return seq < routes.lastSeq();
  }

  async #readMail(mailbox: Mailbox, options: MailboxOptions): Promise<void> {
    const { db, messages, logger } = this.#store;
    const { name } = options.declaration;
    if (!messages.hasAny([name])) return;
    try {
      const rows = await db.write(() => {
        const found = db.all(
          "SELECT raw FROM petiole_messages WHERE queue = ? AND state = 0 ORDER BY step, pos",
          name,
        );
        messages.purge(name);
        return found.map((row) => readText(row["raw"]));
      });
      for (const raw of rows) if (this.#mailboxes.has(mailbox)) this.#hear(raw, options);
    } catch (error) {
      if (!db.closed) logger.warn({ err: error }, "replies could not be read; it is tried again");
    }
  }

  #hear(raw: string, { onMessage }: Pick<SubscribeOptions, "onMessage">): void {
    try {
      onMessage(this.#store.decode(raw));
    } catch (error) {
      this.#store.logger.warn({ err: error }, "a broadcast or a reply that cannot be read was dropped");
    }
  }

  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#store.logger.error({ err: error }, "a handler of a subscription failed");
    }
  }
}
