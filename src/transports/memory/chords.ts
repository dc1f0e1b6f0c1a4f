/** Chords in progress, by group, kept in this process; the memory backend counts them. */

/** One part, as its backend has written it. */
export interface KeptPart {
  readonly index: number | null;
  readonly text: string | Buffer;
}

export interface KeptChord {
  /** By task id, in the order they came. */
  readonly parts: Map<string, KeptPart>;
  /** Ids of parts that were added: `task.addToChord`. */
  readonly added: Set<string>;
  /** Complete, and somebody sends the body. */
  claimed: { untilMs: number; readonly note: string } | null;
  /** Wall clock, ms. */
  expiresMs: number;
}

export class MemoryChordTable {
  readonly #chords = new Map<string, KeptChord>();

  get all(): ReadonlyMap<string, KeptChord> {
    return this.#chords;
  }

  /** Made when there is none. `ttlMs` begins anew. */
  of(group: string, nowMs: number, ttlMs: number): KeptChord {
    this.#expire(nowMs);
    const chord = this.#chords.get(group) ?? {
      parts: new Map(),
      added: new Set(),
      claimed: null,
      expiresMs: 0,
    };
    chord.expiresMs = nowMs + ttlMs;
    // The ones that were touched last come last.
    this.#chords.delete(group);
    this.#chords.set(group, chord);
    return chord;
  }

  delete(group: string): void {
    this.#chords.delete(group);
  }

  #expire(nowMs: number): void {
    for (const [group, chord] of this.#chords) {
      if (chord.expiresMs > nowMs) return;
      this.#chords.delete(group);
    }
  }
}
