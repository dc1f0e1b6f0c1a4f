import type { BackendOptions } from "../../src/backends/backend.ts";
import { CHORD_LEASE_MS } from "../../src/backends/chords.ts";
import { openBackend } from "../../src/backends/index.ts";
import { silentLogger } from "../../src/base/logger.ts";
import { DEFAULT_LIMITS } from "../../src/protocol/wire.ts";
import { openTransport } from "../../src/transports/index.ts";
import { dropMemoryBroker, memoryBroker } from "../../src/transports/memory/index.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { type BackendStore, backendConformance } from "./backend.ts";

async function memoryStore(): Promise<BackendStore> {
  const name = "results";
  const { results } = memoryBroker(name);
  const clock = new VirtualClock();
  const options: BackendOptions = {
    url: `cache+memory://${name}`,
    tls: null,
    options: {},
    expiresSeconds: 86_400,
    serializer: "json",
    accept: ["json"],
    logger: silentLogger,
    clock,
    limits: DEFAULT_LIMITS,
    retry: { maxRetries: Number.POSITIVE_INFINITY, baseMs: 10, capMs: 10_000 },
    clientName: null,
  };
  return {
    create: (overrides) => openBackend({ ...options, ...overrides }),
    transport: () =>
      openTransport({
        url: `memory://${name}`,
        tls: null,
        options: {},
        role: "worker",
        logger: silentLogger,
        clock,
        limits: DEFAULT_LIMITS,
        defaultQueue: "celery",
        clientName: null,
      }),
    raw: {
      get: async (key) => results.read(key, clock.now())?.toString() ?? null,
      async set(key, value) {
        const write = { location: { kind: "memory" as const, name }, key, value };
        results.write({ ...write, ttlSeconds: 0, keepSuccess: false }, clock.now());
      },
      ttl: async (key) => results.ttl(key, clock.now()),
      listening: async () => results.listening,
    },
    endChordLeases: async () => clock.advance(CHORD_LEASE_MS),
    advance: (ms) => clock.advance(ms),
    async stop() {
      dropMemoryBroker(name);
    },
  };
}

backendConformance("memory", { durable: false }, memoryStore);
