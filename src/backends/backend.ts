/** The contract of every result backend. One conformance suite (`test/conformance/backend.ts`) runs over all of them. */
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import type { ResultNode } from "../protocol/result-tuple.ts";
import type { Limits, ResultMeta } from "../protocol/wire.ts";
import type { StoredWrite, StoreLocation } from "../transports/transport.ts";
import type { ChordStore } from "./chords.ts";

/** What a backend is opened with. */
export interface BackendOptions {
  readonly url: string;
  /** `redis_backend_use_ssl`. */
  readonly tls: boolean | Readonly<Record<string, unknown>> | null;
  /** `result_backend_transport_options`. */
  readonly options: Readonly<Record<string, unknown>>;
  /** `result_expires`, seconds; 0 keeps results for ever. */
  readonly expiresSeconds: number;
  /** `result_serializer`. */
  readonly serializer: string;
  /** `result_accept_content`, else `accept_content`. */
  readonly accept: readonly string[];
  readonly logger: Logger;
  readonly clock: Clock;
  readonly limits: Limits;
  /** `result_backend_{max_retries,base_sleep_between_retries_ms,max_sleep_between_retries_ms}`. */
  readonly retry: { readonly maxRetries: number; readonly baseMs: number; readonly capMs: number };
  readonly clientName: string | null;
}

/** Opaque to all but its backend and a transport at the same location. */
export type ResultWrite = StoredWrite;

/** A chord that begins. */
export interface ChordSize {
  readonly group: string;
  readonly size: number;
  /** What its header gives, in order. Looked at by stores that Python's workers read it from. */
  readonly members: readonly ResultNode[];
}

export interface ResultBackend {
  /** Known after `start`. */
  readonly location: StoreLocation;
  /** false: stores nothing; every read says so (`PET_BACKEND_DISABLED`). */
  readonly enabled: boolean;
  start(signal: AbortSignal): Promise<void>;
  stop(): Promise<void>;
  /** Pure and synchronous: the per-task path. Throws EncodeError for a result that cannot travel. */
  encode(meta: ResultMeta): ResultWrite;
  /** Retries until stored or `signal` aborts; a stored SUCCESS stays. Batched per event-loop turn. */
  store(write: ResultWrite, signal: AbortSignal | null): Promise<void>;
  /** One reading of each; null: nothing stored. */
  get(ids: readonly string[]): Promise<readonly (ResultMeta | null)[]>;
  /**
   * Every state seen from now on. `ready` resolves once the subscription stands (a reading after it misses nothing);
   * re-reads after a gap and on a slow poll, so that a stored result is always seen. `onMeta` may be called twice with the
   * same state.
   */
  watch(id: string, onMeta: (meta: ResultMeta) => void): { readonly ready: Promise<void>; close(): void };
  /** The log of a task with `storeLogs`, whole, in place of what was there; kept as long as a result. One attempt. */
  storeLogs(id: string, text: string, signal: AbortSignal): Promise<void>;
  /** What `storeLogs` stored; null: nothing. */
  getLogs(id: string): Promise<string | null>;
  /** Deletes the result and its log, and ends its subscription. */
  forget(id: string): Promise<void>;
  /** A group's tuple, kept under its id: `GroupResult.save`. As {@link encode}, to be stored with {@link store}. */
  encodeGroup(id: string, tuple: unknown): ResultWrite;
  /** The tuple of a saved group; null: nothing saved. */
  readGroup(id: string): Promise<unknown>;
  forgetGroup(id: string): Promise<void>;
  /**
   * How many parts a chord waits for: stored before the first of its header is sent. A second time, when what sends the
   * chord runs again, changes nothing. Python: `set_chord_size`, `apply_chord`.
   */
  encodeChordSize(chord: ChordSize): ResultWrite;
  /** Counts the parts of chords. null: it stores nothing. */
  readonly chords: ChordStore | null;
  /** Deletes what is over, where nothing else does: `celery.backend_cleanup`. How many results and groups it was. */
  cleanup(): Promise<number>;
}
