/**
 * The seed of this run, printed at its start. `PETIOLE_TEST_SEED=… make test` repeats it:
 * `fc.assert(property, { seed })`, `new Random(seed)`.
 */
export const seed: number = Number(process.env["PETIOLE_TEST_SEED"] ?? 1);
