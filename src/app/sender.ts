/** Sends for the worker: retries, callbacks, the next step of a chain. Options come by their wire names. */
import { assertPlain } from "../canvas/plain.ts";
import type { Sender, SendRequest } from "../canvas/sender.ts";
import { mergeOptions, type SplitOptions, splitWireOptions } from "../canvas/wire-options.ts";
import { readSignature } from "../protocol/signature-data.ts";
import type { SignatureData } from "../protocol/wire.ts";
import type { Producer, Send } from "./producer.ts";
import type { SendPlan } from "./send-plan.ts";

/** What a sender needs of its app: put to use before it is asked for a plan. */
export interface SenderHost {
  readonly producer: Producer;
  /** Puts the app to use, when it is not yet. */
  prepare(): Promise<void> | null;
  plan(task: string): SendPlan;
}

export class AppSender implements Sender {
  readonly #host: SenderHost;

  constructor(host: SenderHost) {
    this.#host = host;
  }

  async send(request: SendRequest): Promise<string> {
    assertPlain(request.task, null);
    return this.#send(request, splitWireOptions(request.options));
  }

  async sendSignature(
    signature: SignatureData,
    partialArgs: readonly unknown[],
    request: Omit<SendRequest, "task" | "args" | "kwargs">,
  ): Promise<string> {
    const { task, args, kwargs, options, subtask_type, immutable } = readSignature(
      signature,
      "the signature",
    );
    assertPlain(task, subtask_type);
    const merged = mergeOptions(splitWireOptions(options), splitWireOptions(request.options));
    const given = immutable || partialArgs.length === 0 ? args : [...partialArgs, ...args];
    return this.#send({ ...request, task, args: given, kwargs }, merged);
  }

  async #send(request: SendRequest, split: SplitOptions): Promise<string> {
    const preparing = this.#host.prepare();
    if (preparing !== null) await preparing;
    const send: Send = {
      plan: this.#host.plan(request.task),
      args: request.args,
      kwargs: request.kwargs,
      options: split.options,
      extra: split.extra,
      embed: request.embed ?? null,
      byUser: false,
      parent: request.parent,
    };
    const result = await this.#host.producer.produce(send);
    return result.id;
  }
}
