/** The backend of an app that stores no results. Python: `celery.backends.base.DisabledBackend`. */
import { BackendError } from "../errors.ts";
import type { ResultMeta } from "../protocol/wire.ts";
import type { StoreLocation } from "../transports/transport.ts";
import type { BackendOptions, ResultBackend, ResultWrite } from "./backend.ts";

const LOCATION: StoreLocation = { kind: "other" };

export class DisabledBackend implements ResultBackend {
  readonly location: StoreLocation = LOCATION;
  readonly enabled = false as const;
  readonly chords = null;

  async start(): Promise<void> {}
  async stop(): Promise<void> {}

  encode(meta: ResultMeta): ResultWrite {
    return { location: LOCATION, key: meta.taskId, value: "", ttlSeconds: 0, keepSuccess: true };
  }

  /** Stores nothing, and that is what was asked for. */
  async store(): Promise<void> {}

  get(): Promise<readonly (ResultMeta | null)[]> {
    return Promise.reject(noBackend());
  }

  watch(): { readonly ready: Promise<void>; close(): void } {
    throw noBackend();
  }

  async cleanup(): Promise<number> {
    return 0;
  }

  /** As {@link store}. */
  async storeLogs(): Promise<void> {}

  getLogs(): Promise<string | null> {
    return Promise.reject(noBackend());
  }

  forget(): Promise<void> {
    return Promise.reject(noBackend());
  }

  encodeGroup(): never {
    throw noBackend();
  }

  readGroup(): Promise<never> {
    return Promise.reject(noBackend());
  }

  forgetGroup(): Promise<void> {
    return Promise.reject(noBackend());
  }

  encodeChordSize(): never {
    throw noBackend();
  }
}

export function openDisabledBackend(_options: BackendOptions): ResultBackend {
  return new DisabledBackend();
}

function noBackend(): BackendError {
  return new BackendError(
    "the app has no result backend, so nothing is known of results: set resultBackend, e.g. to redis://localhost:6379/1",
    { code: "PET_BACKEND_DISABLED" },
  );
}
