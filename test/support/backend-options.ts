/** What a backend is opened with, where a test does not say otherwise. */
import type { BackendOptions } from "../../src/backends/backend.ts";
import { systemClock } from "../../src/base/clock.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../src/protocol/wire.ts";

export function backendOptions(url: string, changes: Partial<BackendOptions> = {}): BackendOptions {
  return {
    url,
    tls: null,
    options: {},
    expiresSeconds: 86_400,
    serializer: "json",
    accept: ["json"],
    logger: silentLogger,
    clock: systemClock,
    limits: DEFAULT_LIMITS,
    retry: { maxRetries: Number.POSITIVE_INFINITY, baseMs: 10, capMs: 1_000 },
    clientName: null,
    ...changes,
  };
}
