/** Tasks here and now: `run`, `apply`, and the setting `task_always_eager`. Nothing of this is the way of the wire. */
import { PetioleError } from "../errors.ts";
import type { CallArguments } from "../task/kw.ts";
import type { SendOptions } from "../task/send-types.ts";
import type { AppInternals } from "./internals.ts";
import type { AsyncResult } from "./result-types.ts";

export class Eager {
  readonly #app: AppInternals;

  constructor(app: AppInternals) {
    this.#app = app;
  }

  run(task: string, call: CallArguments): Promise<unknown> {
    return Promise.reject(this.#todo(task, call));
  }

  apply(task: string, call: CallArguments, _options: SendOptions | undefined): Promise<AsyncResult<unknown>> {
    return Promise.reject(this.#todo(task, call));
  }

  async applyMany(
    calls: readonly { readonly task: string; readonly call: CallArguments; readonly options?: SendOptions }[],
  ): Promise<readonly AsyncResult<unknown>[]> {
    const results: AsyncResult<unknown>[] = [];
    for (const { task, call, options } of calls) results.push(await this.apply(task, call, options));
    return results;
  }

  #todo(task: string, _call: CallArguments): PetioleError {
    return new PetioleError("PET_UNSUPPORTED", `${task} cannot run here: ${this.#app.app.name}`);
  }
}
