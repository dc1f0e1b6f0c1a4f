/** Sends for the worker: retries, callbacks, the next step of a chain, bodies of chords. Options come by their wire names. */
import type { CanvasPlan, Given } from "../canvas/plan.ts";
import type { Planned, Sender, SendParent, SendRequest } from "../canvas/sender.ts";
import { splitWireOptions } from "../canvas/wire-options.ts";
import type { SignatureData } from "../protocol/wire.ts";
import { type CanvasHost, planned, publishPlan } from "./canvas.ts";
import type { HandOver } from "./publisher.ts";
import type { Send } from "./send-builder.ts";

/** What a sender needs of its app: put to use before it is asked for a plan. */
export interface SenderHost extends CanvasHost {
  /** Puts the app to use, when it is not yet. */
  prepare(): Promise<void> | null;
}

export class AppSender implements Sender {
  readonly #host: SenderHost;

  constructor(host: SenderHost) {
    this.#host = host;
  }

  async send(request: SendRequest): Promise<string> {
    const { options, extra } = splitWireOptions(request.options);
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    const send: Send = {
      plan: this.#host.plan(request.task),
      args: request.args,
      kwargs: request.kwargs,
      options,
      extra,
      embed: request.embed ?? null,
      byUser: false,
      parent: request.parent,
    };
    const result = await this.#host.producer.produce(send);
    return result.id;
  }

  plan(signature: SignatureData, given: Given, newId: () => string): Promise<CanvasPlan> {
    return planned(this.#host, { signature, given }, newId);
  }

  publish(sends: Planned, parent: SendParent | null): Promise<void> {
    return this.publishThrough(null, sends, parent);
  }

  async publishThrough(handOver: HandOver | null, sends: Planned, parent: SendParent | null): Promise<void> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    await publishPlan(this.#host, sends, { parent, handOver });
  }
}
