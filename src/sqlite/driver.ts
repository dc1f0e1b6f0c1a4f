/**
 * The embedded database's driver: `node:sqlite` where Node has it, else the package `@photostructure/sqlite`, whose API is the
 * same. All that Petiole uses of it is written down here.
 */
import { importPeer } from "../base/import-peer.ts";

/** What a statement takes. A text with a NUL is cut off by some drivers: see {@link bound}. */
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

/** Values as they are to be bound: a text that has a NUL goes as bytes, everywhere, so that it is found again. */
export function bound(values: readonly SqlValue[]): readonly SqlValue[] {
  for (const value of values) if (typeof value === "string" && value.includes("\0")) return values.map(whole);
  return values;
}

function whole(value: SqlValue): SqlValue {
  return typeof value === "string" && value.includes("\0") ? Buffer.from(value) : value;
}

/** A text that was stored. */
export function readText(value: SqlValue | undefined): string {
  if (typeof value === "string") return value;
  return value instanceof Uint8Array ? asBuffer(value).toString() : String(value ?? "");
}

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
