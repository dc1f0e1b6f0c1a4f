/**
 * Fanout: pub/sub, best effort as in kombu. Channels are `{prefix}{exchange}[/{routing key}]`; a subscription's `#` is `*`.
 * Counterpart: `kombu/transport/redis.py` (`_get_subscribe_topic`, `_handle_message`).
 */
import type { Logger } from "../../base/logger.ts";
import { decodeEnvelope } from "../../protocol/envelope.ts";
import type { Limits, WireMessage } from "../../protocol/wire.ts";
import { RedisPubSub } from "../../redis/pubsub.ts";
import type { SessionOptions } from "../../redis/session.ts";
import type { RedisKeys } from "./keys.ts";

export interface FanoutSubscription {
  readonly exchange: string;
  readonly routingKey: string;
  onMessage(message: WireMessage): void;
  onGap(): void;
}

export class Fanout {
  readonly #pubsub: RedisPubSub;
  readonly #logger: Logger;
  readonly #limits: Limits;

  constructor(options: SessionOptions, limits: Limits) {
    this.#pubsub = new RedisPubSub(options);
    this.#logger = options.logger;
    this.#limits = limits;
  }

  async subscribe(keys: RedisKeys, subscription: FanoutSubscription): Promise<{ close(): Promise<void> }> {
    const { exchange, routingKey } = subscription;
    const opened = await this.#pubsub.subscribe({
      channel: keys.channel(exchange, routingKey.replaceAll("#", "*")),
      pattern: /[*#]/.test(routingKey),
      listener: (payload) => this.#hear(payload, subscription),
      onGap: () => subscription.onGap(),
    });
    return {
      close: () => {
        opened.close();
        return Promise.resolve();
      },
    };
  }

  stop(): void {
    this.#pubsub.stop();
  }

  #hear(payload: string, subscription: FanoutSubscription): void {
    let message: WireMessage;
    try {
      message = decodeEnvelope(payload, this.#limits);
    } catch (error) {
      this.#logger.debug(
        { err: error, exchange: subscription.exchange },
        "broadcast that cannot be decoded, dropped",
      );
      return;
    }
    try {
      subscription.onMessage(message);
    } catch (error) {
      this.#logger.error({ err: error, exchange: subscription.exchange }, "a handler of broadcasts failed");
    }
  }
}
