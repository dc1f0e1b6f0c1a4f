/** What a call throws; null when it throws nothing. */
export function thrownBy(run: () => unknown): unknown {
  try {
    run();
    return null;
  } catch (error) {
    return error;
  }
}

/** The class of what a call throws; null when it throws nothing. */
export function classThrownBy(run: () => unknown): unknown {
  return (thrownBy(run) as { constructor?: unknown } | null)?.constructor ?? null;
}
