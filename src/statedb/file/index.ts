/**
 * A state DB in a file, for a worker whose disk stays. Every revoke is appended and synced before it is acknowledged; the file
 * is written anew (temporary file, sync, rename, sync of the folder) when half of it is of no use any more.
 *
 * | what is found at the start  | becomes                                                            |
 * |-----------------------------|--------------------------------------------------------------------|
 * | a last line that was cut    | is dropped: nobody was told that it was written                    |
 * | lines that cannot be read   | the file is kept as `<file>.corrupt-<time>`, what can be read goes on |
 * | a database of Python's      | an error: it is left alone                                         |
 */
import { type FileHandle, mkdir, open, rename } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { FileLock } from "../../base/file-lock.ts";
import { isPythonDbm } from "../../base/python-dbm.ts";
import { ImproperlyConfigured, PetioleError } from "../../errors.ts";
import type {
  Aged,
  Checkpoint,
  Follower,
  ForgottenNode,
  Revocations,
  ShownState,
  StateDb,
  StateDbOptions,
  StateOverview,
  StateSnapshot,
} from "../state-db.ts";
import { HEAD, type Line, lineText, scan } from "./lines.ts";

type Member = Extract<Line, { readonly kind: "id" | "stamp" }>;

/** So many lines are never too many. */
const SMALL = 2_000;
export class FileStateDb implements StateDb {
  readonly location: string;
  readonly shared = false;
  readonly #path: string;
  readonly #options: StateDbOptions;
  readonly #lock: FileLock;
  #handle: FileHandle | null = null;
  /** Bytes of whole lines. */
  #size = 0;
  /** Lines, and how many of them the last look found to be of use. */
  #lines = 0;
  #useful = 0;
  #clock = 0;
  /** One change of the file after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting: { readonly text: string; readonly lines: number; readonly written: Promise<void> } | null = null;

  constructor(options: StateDbOptions) {
    this.#options = options;
    this.#path = resolve(options.url.replace(/^file:\/\//, ""));
    this.location = this.#path;
    this.#lock = new FileLock(this.#path);
  }

  follow(_follower: Follower): void {
    // Nobody else writes this file.
  }

  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await this.#guarded(async () => {
      await mkdir(dirname(this.#path), { recursive: true });
      await this.#refusePython();
      const holder = await this.#lock.take();
      if (holder !== null) {
        throw new ImproperlyConfigured(
          `the state file ${this.#path} is in use by process ${holder}: give each worker its own, for example with %n in the name`,
        );
      }
      try {
        await this.#mend();
      } catch (error) {
        await this.#lock.release();
        throw error;
      }
    });
  }

  async stop(): Promise<void> {
    await this.#last.catch(() => {});
    const handle = this.#handle;
    if (handle === null) return;
    this.#handle = null;
    await handle.close();
    await this.#lock.release();
  }

  // ---- the set

  async load(max: number): Promise<StateSnapshot> {
    const nowSeconds = this.#now();
    const found = { id: new Map<string, number>(), stamp: new Map<string, number>() };
    let clock = 0;
    let complete = true;
    const lines = await this.#scan((line) => {
      if (line.kind === "clock") clock = line.clock;
      if (line.kind !== "id" && line.kind !== "stamp") return;
      if (this.#expired(line, nowSeconds)) return;
      const set = found[line.kind];
      set.delete(line.member);
      set.set(line.member, Math.max(0, nowSeconds - line.at));
      if (set.size <= max) return;
      complete = false;
      const oldest = set.keys().next();
      if (!oldest.done) set.delete(oldest.value);
    });
    this.#clock = Math.max(this.#clock, clock);
    this.#lines = lines;
    this.#useful = complete ? found.id.size + found.stamp.size : lines;
    return { ids: found.id, stamps: found.stamp, clock, complete };
  }

  revoke(revoked: Revocations): Promise<void> {
    const at = this.#now();
    const lines = [
      ...revoked.ids.map((member) => lineText({ kind: "id", member, at })),
      ...revoked.stamps.map((member) => lineText({ kind: "stamp", member, at })),
    ];
    return lines.length === 0 ? Promise.resolve() : this.#append(lines);
  }

  async lookUp(asked: Revocations): Promise<Revocations> {
    const wanted = { id: new Set(asked.ids), stamp: new Set(asked.stamps) };
    const found = { id: new Set<string>(), stamp: new Set<string>() };
    const nowSeconds = this.#now();
    await this.#scan((line) => {
      if (line.kind !== "id" && line.kind !== "stamp") return;
      if (wanted[line.kind].has(line.member) && !this.#expired(line, nowSeconds))
        found[line.kind].add(line.member);
    });
    return { ids: [...found.id], stamps: [...found.stamp] };
  }

  async checkpoint({ clock }: Checkpoint): Promise<"done" | "fenced"> {
    if (!(await this.#lock.mine())) return "fenced";
    if (clock > this.#clock) {
      this.#clock = clock;
      await this.#append([lineText({ kind: "clock", clock })]);
    }
    if (this.#lines > SMALL + 2 * this.#useful) await this.#guarded(() => this.#rewrite(() => true));
    return "done";
  }

  // ---- for operators

  async overview(): Promise<StateOverview> {
    const { ids, stamps, clock } = await this.load(Number.MAX_SAFE_INTEGER);
    const alive = this.#handle === null && (await this.#inUse());
    const node = this.#options.node ?? this.#path;
    const state = { node, ids: ids.size, stamps: stamps.size, clock, blobBytes: 0, seenMs: null, alive };
    return { nodes: [state], shared: null };
  }

  async show(_node: string | null, limit: number): Promise<ShownState> {
    const { ids, stamps } = await this.load(Math.max(1, limit));
    return { ids: newestFirst(ids), stamps: newestFirst(stamps) };
  }

  async purge(options: { readonly olderThanSeconds: number; readonly node: string | null }): Promise<number> {
    const nowSeconds = this.#now();
    const removed = new Set<string>();
    await this.#asWriter(async () => {
      await this.#rewrite((line) => {
        if (nowSeconds - line.at < options.olderThanSeconds) return true;
        removed.add(`${line.kind} ${line.member}`);
        return false;
      });
    });
    return removed.size;
  }

  async forget(_node: string, _options: { readonly merge: boolean }): Promise<ForgottenNode> {
    throw new PetioleError(
      "PET_USAGE",
      `${this.#path} is the state of one worker: delete the file to forget it`,
    );
  }

  // ---- the file

  /** Takes the file for one change, unless this object has it. */
  async #asWriter(change: () => Promise<void>): Promise<void> {
    if (this.#handle !== null) return this.#guarded(change);
    await this.start(new AbortController().signal);
    try {
      await this.#guarded(change);
    } finally {
      await this.stop();
    }
  }

  async #inUse(): Promise<boolean> {
    try {
      const holder = await this.#lock.take();
      if (holder !== null) {
        throw new ImproperlyConfigured(
          `the state file ${this.#path} is in use by process ${holder}: give each worker its own, for example with %n in the name`,
        );
      }
      await this.#lock.release();
      return false;
    } catch {
      return true;
    }
  }

  #guarded<T>(change: () => Promise<T>): Promise<T> {
    const next = this.#last.catch(() => {}).then(change);
    this.#last = next;
    next.catch(() => {});
    return next;
  }

  /** Appended and synced; what comes in the meantime goes together. */
  #append(lines: readonly string[]): Promise<void> {
    const waiting = this.#waiting;
    const batch = {
      text: (waiting?.text ?? "") + lines.join(""),
      lines: (waiting?.lines ?? 0) + lines.length,
      written: waiting?.written ?? this.#guarded(() => this.#flush()),
    };
    this.#waiting = batch;
    return batch.written;
  }

  async #flush(): Promise<void> {
    const batch = this.#waiting;
    this.#waiting = null;
    const handle = this.#handle;
    if (batch === null) return;
    if (handle === null) throw new PetioleError("PET_CLOSED", `the state file ${this.#path} is not open`);
    const bytes = Buffer.from(batch.text);
    try {
      await handle.appendFile(bytes);
      await handle.datasync();
    } catch (error) {
      // Half a line must not be followed by a whole one.
      await handle.truncate(this.#size).catch(() => {});
      throw error;
    }
    this.#size += bytes.length;
    this.#lines += batch.lines;
  }

  async #scan(onLine: (line: Line) => void): Promise<number> {
    let lines = 0;
    const { bad } = await scan(this.#path, (line) => {
      lines += 1;
      onLine(line);
    });
    if (bad > 0)
      this.#options.logger.warn({ file: this.#path, bad }, "lines of the state file cannot be read");
    return lines;
  }

  /** Opens the file as it should be. */
  async #mend(): Promise<void> {
    const found = await scan(this.#path, (line) => {
      if (line.kind === "clock") this.#clock = line.clock;
    });
    const { bad, whole, cut, hasHead } = found;
    if (bad > 0 || (whole + cut > 0 && !hasHead)) {
      const copy = `${this.#path}.corrupt-${new Date(this.#options.clock.now()).toISOString().replaceAll(/[:.]/g, "-")}`;
      await rename(this.#path, copy);
      this.#options.logger.error(
        { file: this.#path, kept: copy, bad },
        "the state file is damaged: it is kept, and what can be read of it goes on",
      );
      await this.#rewrite(() => true, copy);
      return;
    }
    if (whole === 0) {
      await this.#rewrite(() => true);
      return;
    }
    await this.#open();
    if (cut > 0) await this.#handle?.truncate(whole);
    this.#size = whole;
  }

  async #open(): Promise<void> {
    const old = this.#handle;
    this.#handle = await open(this.#path, "a", 0o600);
    this.#size = (await this.#handle.stat()).size;
    await old?.close();
  }

  /** Writes it anew, each member once. `from`: what is read in its place. */
  async #rewrite(keep: (line: Member) => boolean, from = this.#path): Promise<void> {
    const members = new Map<string, Member>();
    let clock = 0;
    const nowSeconds = this.#now();
    await scan(from, (line) => {
      if (line.kind === "clock") clock = line.clock;
      if (line.kind !== "id" && line.kind !== "stamp") return;
      const key = `${line.kind} ${line.member}`;
      members.delete(key);
      if (keep(line) && !this.#expired(line, nowSeconds)) members.set(key, line);
    });
    const temporary = `${this.#path}.new`;
    const handle = await open(temporary, "w", 0o600);
    try {
      const lines = [...members.values()].map((line) => lineText(line));
      await handle.writeFile(HEAD + lines.join("") + (clock > 0 ? lineText({ kind: "clock", clock }) : ""));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, this.#path);
    await syncFolder(dirname(this.#path));
    await this.#open();
    this.#lines = members.size;
    this.#useful = members.size;
  }

  async #refusePython(): Promise<void> {
    if (!isPythonDbm(await readHead(this.#path))) return;
    throw new ImproperlyConfigured(
      `${this.#path} is a database of Python's shelve, which cannot be read here and is left alone: name another file; docs/guides/state-db.md says how to take its revokes over`,
    );
  }

  #expired(line: Member, nowSeconds: number): boolean {
    const { ttlSeconds } = this.#options;
    return ttlSeconds !== null && nowSeconds - line.at >= ttlSeconds;
  }

  #now(): number {
    return this.#options.clock.now() / 1000;
  }
}

function newestFirst(aged: Aged): Aged {
  return new Map([...aged].toReversed());
}

/** Sixteen bytes in hex; '' where there is no file. */
async function readHead(path: string): Promise<string> {
  try {
    return await withFile(path, async (handle) => {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(16), 0, 16, 0);
      return buffer.toString("hex", 0, bytesRead);
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  const handle = await open(path, "r");
  try {
    return await use(handle);
  } finally {
    await handle.close();
  }
}

/** So that the rename outlives a power cut. Not every file system can. */
async function syncFolder(folder: string): Promise<void> {
  try {
    await withFile(folder, (handle) => handle.sync());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EINVAL") throw error;
  }
}

export function openFileStateDb(options: StateDbOptions): StateDb {
  return new FileStateDb(options);
}
