/** An AbortSignal that is only made when somebody asks for it: most jobs never look. */
import { Linked } from "../base/linked-set.ts";
import type { LazyAbort } from "../protocol/job.ts";

/** `Linked`: its pool keeps those that run in a set. */
export class JobAbort extends Linked implements LazyAbort {
  #controller: AbortController | null = null;
  #aborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#aborted;
  }

  get signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
