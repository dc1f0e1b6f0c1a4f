/**
 * A signal that does nothing in production and queues its values once a test has called `init`, so that tests wait for
 * what happened instead of sleeping.
 */
export class TestSignal<T> {
  /** Values not taken yet; null until a test listens. Written by `signal` and `next`. */
  #queue: T[] | null = null;
  #waiting: ((value: T) => void)[] = [];

  /** Called by the code under test. */
  signal(value: T): void {
    if (this.#queue === null) return;
    const taker = this.#waiting.shift();
    if (taker) taker(value);
    else this.#queue.push(value);
  }

  /** Starts to record. */
  init(): this {
    this.#queue ??= [];
    return this;
  }

  /** The next value, or an error after `timeoutMs`. */
  next(options: { readonly timeoutMs: number }): Promise<T> {
    this.init();
    const ready = this.#queue?.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    return new Promise<T>((resolve, reject) => {
      const taker = (value: T): void => {
        clearTimeout(timer);
        resolve(value);
      };
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((one) => one !== taker);
        reject(new Error(`no test signal within ${options.timeoutMs} ms`));
      }, options.timeoutMs);
      this.#waiting.push(taker);
    });
  }

  /** Throws when something was signalled that nobody took. */
  expectEmpty(): void {
    if (this.#queue && this.#queue.length > 0) {
      throw new Error(`unexpected test signals: ${JSON.stringify(this.#queue)}`);
    }
  }
}
