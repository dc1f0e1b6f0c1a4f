/**
 * The embedded database's driver: `node:sqlite` where Node has it, else the package `@photostructure/sqlite`, whose API is the
 * same. All that Petiole uses of it is written down here.
 */
import { importPeer } from "../base/import-peer.ts";

/** What a statement takes. A text with a NUL is cut off by some drivers: see {@link storedText}. */
export type SqlValue = string | number | null | Uint8Array;

export type Row = Readonly<Record<string, SqlValue>>;

export interface Statement {
  get(...values: readonly SqlValue[]): Row | undefined;
  all(...values: readonly SqlValue[]): readonly Row[];
  run(...values: readonly SqlValue[]): {
    readonly changes: number | bigint;
    readonly lastInsertRowid: number | bigint;
  };
}

export interface Handle {
  exec(sql: string): void;
  prepare(sql: string): Statement;
  close(): void;
}

/** `timeout`: ms that a statement waits for another connection's lock. */
export type OpenHandle = (path: string, options: { readonly timeout: number }) => Handle;

interface DriverModule {
  readonly DatabaseSync: new (path: string, options: { readonly timeout: number }) => Handle;
}

const PACKAGE = "@photostructure/sqlite";

/** @throws PetioleError `PET_PEER_MISSING` */
export async function loadDriver(): Promise<OpenHandle> {
  const { DatabaseSync } =
    builtin() ??
    (await importPeer<DriverModule>(PACKAGE, "sqlite:// on this version of Node", () => import(PACKAGE)));
  return (path, options) => new DatabaseSync(path, options);
}

/** Node 22 warns that it is experimental; that is for us to know, not for each user's terminal. */
function builtin(): DriverModule | undefined {
  const before = Object.getOwnPropertyDescriptor(process, "emitWarning");
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule("node:sqlite") as unknown as DriverModule | undefined;
  } finally {
    if (before !== undefined) Object.defineProperty(process, "emitWarning", before);
  }
}

/** A text as it is to be bound: whole, whatever is in it. */
export function storedText(text: string): string | Uint8Array {
  return text.includes("\0") ? Buffer.from(text) : text;
}

/** What {@link storedText} stored. */
export function readText(value: SqlValue | undefined): string {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? asBuffer(value).toString() : String(value ?? "");
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
