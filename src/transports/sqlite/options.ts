/** `broker_transport_options` as the transport of the embedded database reads them. */
import { type MemoryOptions, readMemoryOptions, readSeconds, snakeCase } from "../memory/options.ts";

export interface SqliteOptions extends MemoryOptions {
  /** `lease`: how long a slot of a limit is kept for a task that was called and does not come. Holds need no lease here. */
  readonly callMs: number;
}

const CALL_SECONDS = 30;

/** @throws ImproperlyConfigured for an unknown name or a value that is no use */
export function readSqliteOptions(options: Readonly<Record<string, unknown>>): SqliteOptions {
  const common = readMemoryOptions(options, { scheme: "sqlite://", others: ["lease"] });
  const lease = Object.entries(options).find(([name]) => snakeCase(name) === "lease")?.[1];
  return { ...common, callMs: readSeconds("lease", lease ?? CALL_SECONDS) * 1000 };
}
