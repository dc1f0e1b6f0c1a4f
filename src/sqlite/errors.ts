/** What went wrong with the file, in words that say what to do. */

/** An error of the embedded database. */
export class SqliteError extends Error {
  /** Trying again is of no use until somebody changes something. */
  readonly refused: boolean;
  /** Another process has the lock. */
  readonly busy: boolean;

  constructor(
    message: string,
    options: ErrorOptions & { readonly refused?: boolean; readonly busy?: boolean } = {},
  ) {
    super(message, options);
    this.name = "SqliteError";
    this.refused = options.refused ?? false;
    this.busy = options.busy ?? false;
  }
}

const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;

/** Primary result code; null: it is none of SQLite's. */
function codeOf(error: unknown): number | null {
  const code = (error as { readonly errcode?: unknown } | null)?.errcode;
  return typeof code === "number" ? code & 0xff : null;
}

export function isBusy(error: unknown): boolean {
  if (error instanceof SqliteError) return error.busy;
  const code = codeOf(error);
  return code === BUSY || code === LOCKED;
}

/** @param path - the database's */
export function sqliteError(error: unknown, path: string): SqliteError {
  if (error instanceof SqliteError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  const file = JSON.stringify(path);
  const say = (text: string, refused: boolean): SqliteError =>
    new SqliteError(`${text} (${reason})`, { cause: error, refused });
  switch (codeOf(error)) {
    case BUSY:
    case LOCKED:
      return new SqliteError(
        `another process has the lock of ${file}, and did not let go of it in time: if it is no worker or client of yours, close it; else set busy_timeout in the URL`,
        { cause: error, busy: true },
      );
    case READONLY:
      return say(
        `${file} cannot be written: this user needs write permission for the file, and for its folder, where -wal and -shm are kept beside it`,
        true,
      );
    case FULL:
      return say(`the disk that ${file} is on is full: make room; nothing of this step was stored`, false);
    case CANTOPEN:
      return say(
        `${file} cannot be opened: check that its folder exists and that this user may read and write there`,
        true,
      );
    case CORRUPT:
      return say(
        `${file} is damaged: stop all processes that use it, keep a copy, and recover what can be read with sqlite3 ${file} .recover`,
        true,
      );
    case NOTADB:
      return say(`${file} is no SQLite database: name another file, or move this one away`, true);
    case IOERR:
      return say(`reading or writing ${file} failed: look at the disk and the log of the system`, false);
    case null:
    default:
      return say(`an operation on ${file} failed`, false);
  }
}
