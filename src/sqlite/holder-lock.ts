/**
 * Whether a process lives, without a clock: it has an exclusive lock on a file of its own in `<database>-holders/`, which the
 * operating system takes away at its end, however it ends. Nothing is renewed, and a process that is busy or stopped is not taken
 * for a dead one.
 */
import { chmodSync, existsSync, mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Handle, loadDriver, type OpenHandle } from "./driver.ts";
import { sqliteError } from "./errors.ts";

function folderOf(path: string): string {
  return `${path}-holders`;
}

function fileOf(path: string, id: number): string {
  return join(folderOf(path), String(id));
}

let driver: OpenHandle | null = null;

export class HolderLock {
  readonly #handle: Handle;
  readonly #path: string;
  readonly #id: number;

  private constructor(handle: Handle, path: string, id: number) {
    this.#handle = handle;
    this.#path = path;
    this.#id = id;
  }

  /** @throws SqliteError */
  static async take(path: string, id: number): Promise<HolderLock> {
    driver ??= await loadDriver();
    const file = fileOf(path, id);
    try {
      const { mode } = statSync(path);
      mkdirSync(folderOf(path), { recursive: true });
      const handle = driver(file, { timeout: 0 });
      lock(handle);
      // Whoever may write to the database may look whether this process lives.
      chmodSync(file, mode & 0o666);
      return new HolderLock(handle, path, id);
    } catch (error) {
      throw sqliteError(error, file);
    }
  }

  /** Lets go of it and deletes its file. */
  release(): void {
    this.#handle.close();
    removeHolderLock(this.#path, this.#id);
  }

  /** As if the process had died. */
  abandon(): void {
    this.#handle.close();
  }
}

function lock(handle: Handle): void {
  handle.exec("PRAGMA journal_mode = OFF");
  handle.exec("BEGIN EXCLUSIVE");
}

/** A holder whose file cannot be looked at is left alone. */
export async function isHolderAlive(path: string, id: number): Promise<boolean> {
  const file = fileOf(path, id);
  driver ??= await loadDriver();
  if (!existsSync(file)) return false;
  let handle: Handle | null = null;
  try {
    handle = driver(file, { timeout: 0 });
    lock(handle);
    return false;
  } catch {
    return true;
  } finally {
    handle?.close();
  }
}

export function removeHolderLock(path: string, id: number): void {
  const file = fileOf(path, id);
  for (const name of [file, `${file}-journal`]) rmSync(name, { force: true });
}
