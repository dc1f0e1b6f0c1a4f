import { CHORD_LEASE_MS } from "../../src/backends/chords.ts";
import { openBackend } from "../../src/backends/index.ts";
import { openTransport } from "../../src/transports/index.ts";
import { dropMemoryBroker, memoryBroker } from "../../src/transports/memory/index.ts";
import { backendOptions } from "../support/backend-options.ts";
import { transportOptions } from "../support/redis-transport.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { type BackendStore, backendConformance } from "./backend.ts";

async function memoryStore(): Promise<BackendStore> {
  const name = "results";
  const { results } = memoryBroker(name);
  const clock = new VirtualClock();
  const options = backendOptions(`cache+memory://${name}`, { clock });
  return {
    create: (overrides) => openBackend({ ...options, ...overrides }),
    transport: () => openTransport(transportOptions(`memory://${name}`, { clock })),
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
