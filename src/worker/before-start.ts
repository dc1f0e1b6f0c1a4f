/**
 * What has to be found out before some tasks may start: those that were delivered again, those with limits over all workers,
 * unique ones, and all of them while it is not certain what is revoked.
 */
import type { Logger } from "../base/logger.ts";
import type { Consumer, UniqueKey } from "../transports/transport.ts";
import { GlobalLimits } from "./limits.ts";
import type { Request } from "./request.ts";
import type { Revoked } from "./revoked.ts";
import type { Settler } from "./settler.ts";
import type { UniqueTasks } from "./unique.ts";

export interface BeforeStartOptions {
  readonly logger: Logger;
  readonly settler: Settler;
  /** `worker_deduplicate_successful_tasks`: whether a task's SUCCESS is stored already. null: off. */
  readonly isDone: ((id: string) => Promise<boolean>) | null;
  readonly revoked: Pick<Revoked, "doubt">;
  /** Aborted when nothing new is to start. */
  readonly pausing: AbortSignal;
  consumer(): Consumer | null;
  /** It was revoked, as a store says. */
  revoke(request: Request): void;
  /** It cannot be found out: the task fails. */
  fail(request: Request, error: unknown): void;
  readonly unique: UniqueTasks;
  /** A newer call took its place: it is over. */
  readonly replaced: (request: Request) => void;
}

export class BeforeStart {
  readonly #options: BeforeStartOptions;
  readonly #limits: GlobalLimits;

  constructor(options: BeforeStartOptions) {
    this.#options = options;
    this.#limits = new GlobalLimits(options);
  }

  /** Nothing is to be asked: it may start at once. */
  isFree({ delivery, strategy, unique }: Request): boolean {
    if (this.#options.revoked.doubt !== null) return false;
    if (delivery.deliveryCount > 0 || strategy.limits !== null || unique !== null) return false;
    return !(delivery.redelivered && strategy.acksLate && this.#options.isDone !== null);
  }

  /** False: it is not to run. The start of a suspect is recorded, so that only what really ran is counted. Never rejects. */
  async allows(request: Request): Promise<boolean> {
    const { delivery, strategy } = request;
    const { revoked, pausing } = this.#options;
    if (revoked.doubt !== null && (await revoked.doubt.check(request.decoded, pausing))) {
      if (request.state === "reserved") this.#options.revoke(request);
      return false;
    }
    if (await this.#isDone(request)) {
      this.#options.settler.ack(request);
      if (request.unique !== null) this.#options.unique.release(request.id, request.unique);
      return false;
    }
    if (strategy.limits !== null && !(await this.#limits.admit(request, strategy.limits))) return false;
    if (delivery.deliveryCount > 0) {
      await this.#options
        .consumer()
        ?.markStarted(delivery)
        .catch((err: unknown) => this.#unknown(request, err));
    }
    return request.unique === null || this.#claims(request, request.unique);
  }

  /** The key of a unique task. False: it is not to run, or not yet. */
  async #claims(request: Request, key: UniqueKey): Promise<boolean> {
    const { logger, settler, unique, replaced } = this.#options;
    const { id, task } = request;
    const claim = await unique.claim(request, key).catch((err: unknown) => {
      logger.warn({ id, task, err }, "the key of a unique task was not to be had: it is put back");
      return null;
    });
    // Lost, or given up by a worker that stops.
    if (claim === null || request.state !== "reserved") return false;
    switch (claim.kind) {
      case "run":
        return true;
      case "later":
        request.state = "dropped";
        settler.settle(request, { kind: "park", untilMs: claim.untilMs });
        return false;
      case "replaced":
        replaced(request);
        return false;
    }
  }

  /** All of a request is over. */
  ended(request: Request): void {
    const { limits } = request.strategy;
    if (limits !== null) this.#limits.ended(request, limits);
  }

  async #isDone(request: Request): Promise<boolean> {
    const { isDone, logger } = this.#options;
    const { delivery, id, task, strategy } = request;
    if (isDone === null || !delivery.redelivered || !strategy.acksLate) return false;
    try {
      if (!(await isDone(id))) return false;
      logger.info({ id, task }, "a task that was delivered again has succeeded before: it does not run");
      return true;
    } catch (err) {
      this.#unknown(request, err);
      return false;
    }
  }

  #unknown({ id, task }: Request, err: unknown): void {
    this.#options.logger.warn(
      { id, task, err },
      "what is known of a task that was delivered again could not be read: it runs",
    );
  }
}
