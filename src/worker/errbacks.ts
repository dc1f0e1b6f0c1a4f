/** Errbacks of what failed: `app.errback`'s are called here, all others are sent, with the failed task's id. */
import type { AppInternals } from "../app/internals.ts";
import type { Logger } from "../base/logger.ts";
import { errorFrom } from "../protocol/exceptions.ts";
import type { ExceptionInfo, SignatureData } from "../protocol/wire.ts";
import { requestData } from "../task/context.ts";
import type { TaskRequest } from "../task/context-types.ts";
import { type Failed, oldStyleErrbacks } from "./follow-ups.ts";
import type { Settler } from "./settler.ts";

/** What errbacks are told. */
export interface Told {
  readonly failed: Failed;
  readonly task: string;
  readonly error: ExceptionInfo;
  /** null: of a task that never ran. */
  readonly request: TaskRequest | null;
}

export class Errbacks {
  readonly #app: AppInternals;
  readonly #settler: Settler;
  readonly #logger: Logger;

  constructor(parts: { readonly app: AppInternals; readonly settler: Settler; readonly logger: Logger }) {
    this.#app = parts.app;
    this.#settler = parts.settler;
    this.#logger = parts.logger;
  }

  /** Never rejects. */
  async call(errbacks: readonly SignatureData[], told: Told): Promise<void> {
    const { failed, error } = told;
    const sent: SignatureData[] = [];
    for (const errback of errbacks) {
      const definition = this.#app.registry.get(errback.task);
      if (definition?.errbackStyle !== "request") {
        sent.push(errback);
        continue;
      }
      const call = definition.fn as (...args: readonly unknown[]) => unknown;
      const request = told.request ?? requestData({ id: failed.id, task: told.task, rootId: failed.rootId });
      try {
        await call(request, errorFrom(error), error.traceback ?? "");
      } catch (err) {
        this.#failed(told, errback, err);
      }
    }
    const sends = oldStyleErrbacks(this.#app.sender, failed, sent);
    for (const [index, send] of sends.entries()) {
      try {
        await this.#settler.send(send, { id: failed.id, task: told.task });
      } catch (err) {
        this.#failed(told, sent[index], err);
      }
    }
  }

  #failed({ failed, task }: Told, errback: SignatureData | undefined, err: unknown): void {
    this.#logger.error(
      { id: failed.id, task, errback: errback?.task ?? null, err },
      "an errback of a failed task failed itself",
    );
  }
}
