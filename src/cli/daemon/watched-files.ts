/**
 * Files whose content is watched. A folder has one watcher, for all of its files: what editors write anew and rename is seen,
 * too. A file is changed when its content is another one, not when it was only touched.
 */
import { createHash } from "node:crypto";
import { type FSWatcher, readFileSync, statSync, watch } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { isModuleFile } from "../../app/loader-files.ts";

/** Several files are often written one after the other. ms. */
const QUIET_MS = 100;

export interface WatchedFilesOptions {
  onChange(file: string): void;
  /** A folder that cannot be watched. */
  onError(folder: string, error: unknown): void;
}

interface FolderWatcher {
  readonly watcher: FSWatcher;
  /** A folder that was made anew has another one. */
  readonly identity: string | null;
}

export class WatchedFiles {
  /** A module that is new in a watched folder is a change: an import of it may have failed. */
  newOnes = false;
  readonly #options: WatchedFilesOptions;
  /** Hash of the content by file; null: there is none. */
  readonly #prints = new Map<string, string | null>();
  readonly #folders = new Map<string, FolderWatcher>();
  /** To be looked at. */
  readonly #dirty = new Set<string>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: WatchedFilesOptions) {
    this.#options = options;
  }

  /** Watches a file, from now on or as before: what changed since it was last looked at is a change. */
  add(file: string): void {
    const known = this.#prints.get(file);
    const now = printOf(file);
    if (known === undefined) {
      this.#prints.set(file, now);
      this.#watchFolder(dirname(file));
    } else if (known !== now) this.#suspect([file]);
  }

  /** Looks at once at what may have changed; returns the first file that has, or null. */
  look(): string | null {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const dirty = [...this.#dirty];
    this.#dirty.clear();
    // Before the files are read: what is written later is told.
    this.#followFolders();
    let changed: string | null = null;
    for (const file of dirty) {
      const print = printOf(file);
      const before = this.#prints.get(file);
      if (before === print || (before === undefined && print === null)) continue;
      // A file that nobody imports yet is looked at, not kept.
      if (before !== undefined) this.#prints.set(file, print);
      changed ??= file;
    }
    return changed;
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const { watcher } of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  #suspect(files: readonly string[]): void {
    if (files.length === 0) return;
    for (const file of files) this.#dirty.add(file);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const changed = this.look();
      if (changed !== null) this.#options.onChange(changed);
    }, QUIET_MS);
  }

  #onEvent(folder: string, name: string | null): void {
    const path = name === null ? folder : join(folder, name);
    // A folder that is gone tells of itself.
    const below = this.#folders.get(folder)?.identity === identityOf(folder) ? path : folder;
    const files = [...this.#prints.keys()].filter((file) => file === path || file.startsWith(below + sep));
    if (this.newOnes && isModuleFile(basename(path))) files.push(path);
    this.#suspect(files);
  }

  #watchFolder(folder: string): void {
    const at = nearestFolder(folder);
    if (this.#folders.has(at)) return;
    try {
      const watcher = watch(at, (_event, name) => this.#onEvent(at, name));
      watcher.on("error", (error) => this.#options.onError(at, error));
      this.#folders.set(at, { watcher, identity: identityOf(at) });
    } catch (error) {
      this.#options.onError(at, error);
    }
  }

  /** Folders come and go: of one that is gone the nearest above it is watched, until it is there. */
  #followFolders(): void {
    for (const [folder, { watcher, identity }] of this.#folders) {
      if (identityOf(folder) === identity) continue;
      watcher.close();
      this.#folders.delete(folder);
    }
    for (const folder of new Set([...this.#prints.keys()].map(dirname))) this.#watchFolder(folder);
  }
}

function printOf(file: string): string | null {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("base64");
  } catch {
    return null;
  }
}

/** Numbers of inodes are used again. null: there is no such folder. */
function identityOf(folder: string): string | null {
  const stats = statSync(folder, { throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.ino} ${stats.birthtimeMs}`;
}

function nearestFolder(folder: string): string {
  return identityOf(folder) !== null || folder === dirname(folder) ? folder : nearestFolder(dirname(folder));
}
