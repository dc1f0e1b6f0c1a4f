/** `sqlite:///path/to/file.db`: a broker in one file, shared by the processes of a host. */
import type { Transport, TransportOptions } from "../transport.ts";
import { SqliteTransport } from "./transport.ts";

export { Messages, readList } from "./messages.ts";
export { ResultTable, type SqliteWrite, type StoredText } from "./results.ts";
export { SqliteTransport } from "./transport.ts";

export function openSqliteTransport(options: TransportOptions): Transport {
  return new SqliteTransport(options);
}
