/** Long work in short stretches, so that timers, sockets and other tasks of the process have their turn in between. */

/** Stretch after which others may go first, ms. */
const STRETCH_MS = 8;

/** Work that can be left after each `yield`, and taken up again. */
export type Stepwise<T> = Generator<undefined, T, undefined>;

/** To be asked in a loop: `if (turns.isOver) await turns.next()`. */
export class Turns {
  #untilMs: number = performance.now() + STRETCH_MS;

  get isOver(): boolean {
    return performance.now() >= this.#untilMs;
  }

  async next(): Promise<void> {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    this.#untilMs = performance.now() + STRETCH_MS;
  }
}

/** In this turn, and in as many further ones as it takes. */
export async function inTurns<T>(work: Stepwise<T>): Promise<T> {
  const turns = new Turns();
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (turns.isOver) await turns.next();
  }
}
