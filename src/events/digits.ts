/**
 * Whole numbers as text. V8 remembers the texts of the last thousands of numbers that it wrote: of numbers that all differ, as
 * those of a logical clock do, each text then outlives two collections of young memory.
 */
const THOUSAND = 1_000;
const SHORT: readonly string[] = Array.from({ length: THOUSAND }, (_, n) => String(n));
const PADDED: readonly string[] = SHORT.map((digits) => digits.padStart(3, "0"));

/** Of a number that grows by small steps. */
export class Counted {
  #thousands = 0;
  #front = "";

  write(n: number): string {
    if (n < THOUSAND) return short(n);
    const thousands = Math.floor(n / THOUSAND);
    if (thousands !== this.#thousands) {
      this.#thousands = thousands;
      this.#front = String(thousands);
    }
    return this.#front + (PADDED[n - thousands * THOUSAND] as string);
  }
}

/** Of a number that mostly is below a thousand. */
export function short(n: number): string {
  return SHORT[n] ?? String(n);
}
