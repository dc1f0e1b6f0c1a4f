/** `memory://name`: a broker inside this process, shared by all transports (and the backend) of the same name. */
import type { Transport, TransportOptions } from "../transport.ts";
import { MemoryTransport } from "./transport.ts";

export { dropMemoryBroker, type MemoryBroker, memoryBroker, memoryName } from "./broker.ts";
export type { MemoryWrite, StoredText } from "./results.ts";
export { MemoryTransport } from "./transport.ts";

export function openMemoryTransport(options: TransportOptions): Transport {
  return new MemoryTransport(options);
}
