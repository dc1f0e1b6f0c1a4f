/** States on the way to a result: STARTED, and those of `task.updateState`. */
import type { Logger } from "../base/logger.ts";
import type { StoredWrite } from "../transports/transport.ts";
import type { MetaMaker, StoredState } from "./outcome.ts";
import type { Request } from "./request.ts";
import type { Settler } from "./settler.ts";

export class StateStore {
  readonly #settler: Settler;
  readonly #metas: MetaMaker;
  readonly #logger: Logger;

  constructor(parts: { readonly settler: Settler; readonly metas: MetaMaker; readonly logger: Logger }) {
    this.#settler = parts.settler;
    this.#metas = parts.metas;
    this.#logger = parts.logger;
  }

  /** STARTED. The request's result waits for it. */
  started(request: Request, pid: number, hostname: string): void {
    if (request.ignoreResult || !this.#settler.storesResults) return;
    request.storing = this.#store(request, { status: "STARTED", result: { pid, hostname } });
  }

  /** Never rejects: a state that cannot be stored must not end the task. */
  async update(request: Request, status: string, result: unknown): Promise<void> {
    if (!this.#settler.storesResults) return;
    if (request.storing !== null) await request.storing;
    await this.#store(request, { status, result });
  }

  async #store(request: Request, state: StoredState): Promise<void> {
    let write: StoredWrite;
    try {
      write = this.#settler.encode(this.#metas.state(request.decoded, state));
    } catch (err) {
      this.#logger.error(
        { id: request.id, task: request.task, state: state.status, err },
        "a state of a task could not be stored",
      );
      return;
    }
    await this.#settler.store(write, request);
  }
}
