/** Hooks whose handlers run in the order they were connected. */

/** A hook a user can connect to. */
export interface Signal<out E> {
  /** Returns the function that disconnects it. `sender` limits it to events of one sender (a task, by object or name). */
  connect(
    handler: (event: E) => unknown,
    options?: { readonly sender?: string | { readonly name: string } | undefined },
  ): () => void;
}

interface Connection<E> {
  readonly handler: (event: E) => unknown;
  readonly sender: string | null;
}

/** The side that sends. `active` is false while nobody listens: check it before an event object is built. */
export class Emitter<E> implements Signal<E> {
  #connections: readonly Connection<E>[] = [];
  active = false;

  connect(
    handler: (event: E) => unknown,
    options?: { readonly sender?: string | { readonly name: string } | undefined },
  ): () => void {
    const sender = options?.sender ?? null;
    const connection = {
      handler,
      sender: sender === null || typeof sender === "string" ? sender : sender.name,
    };
    this.#connections = [...this.#connections, connection];
    this.active = true;
    return () => {
      this.#connections = this.#connections.filter((one) => one !== connection);
      this.active = this.#connections.length > 0;
    };
  }

  /**
   * Runs every handler, awaiting those that are asynchronous: the others have run when this returns, before a fork or the end of a
   * process. A handler that throws is reported and does not keep the others from running.
   */
  async emit(
    event: E,
    options: { readonly sender?: string | undefined; readonly onError: (error: unknown) => void },
  ): Promise<void> {
    for (const connection of this.#connections) {
      if (connection.sender !== null && connection.sender !== options.sender) continue;
      try {
        const answer = connection.handler(event);
        if (typeof (answer as PromiseLike<unknown> | null | undefined)?.then === "function") await answer;
      } catch (error) {
        options.onError(error);
      }
    }
  }
}
