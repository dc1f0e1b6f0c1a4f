/** A logical clock: what was sent later has a higher value, on any host. Python: `kombu.clocks.LamportClock`. */
export class LamportClock {
  #value: number;

  constructor(initial = 0) {
    this.#value = initial;
  }

  get value(): number {
    return this.#value;
  }

  /** Before something is sent; the new value goes with it. */
  forward(): number {
    this.#value += 1;
    return this.#value;
  }

  /** Something came that was sent at `other`. What is no count is taken as nothing. */
  adjust(other: unknown): number {
    const heard = typeof other === "number" && Number.isSafeInteger(other) ? other : 0;
    this.#value = Math.max(this.#value, heard) + 1;
    return this.#value;
  }
}
