/** Finding task modules in folders, and importing them: `autodiscoverTasks`. Python: `celery/loaders/base.py`. */
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Clock } from "../base/clock.ts";
import type { Logger } from "../base/logger.ts";
import { ImproperlyConfigured } from "../errors.ts";
import { importFile, shown } from "./loader.ts";
import { isModuleFile } from "./loader-files.ts";
import { circle } from "./loader-stalls.ts";

interface DiscoverOptions {
  /** The folder that relative ones are looked up from. */
  readonly base: string;
  readonly related: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Folders in which nobody keeps task modules. */
const SKIPPED_FOLDERS: ReadonlySet<string> = new Set([
  "node_modules",
  "__tests__",
  "__mocks__",
  "test",
  "tests",
]);

/** After so long without an end somebody is told. */
const SLOW_MS = 10_000;

/** Imports task modules one after the other. */
export async function discoverTasks(
  folders: string | URL | readonly (string | URL)[],
  { base, related, clock, logger }: DiscoverOptions,
): Promise<void> {
  const files = await findTaskModules(folders, { base, related });
  for (const file of files) {
    const module = shown(file, base);
    const warn = (): void =>
      logger.warn(
        { module },
        `${module} has been loading for ${SLOW_MS / 1000} s. Perhaps ${circle(undefined)}`,
      );
    const slow = clock.setTimer(SLOW_MS, warn, { unref: true });
    try {
      await importFile(file, base, true);
    } finally {
      slow.cancel();
    }
  }
}

/**
 * Task modules in and below some folders, sorted: files called `tasks.*` or `*.tasks.*`, and all modules of folders called
 * `tasks`. Of `x.ts` and `x.js` side by side only `x.js` is taken: one was made from the other.
 *
 * @param related - the name in place of `tasks`. Celery's `related_name`
 */
export async function findTaskModules(
  folders: string | URL | readonly (string | URL)[],
  options: { readonly base: string; readonly related?: string | undefined },
): Promise<readonly string[]> {
  const list = typeof folders === "string" || folders instanceof URL ? [folders] : folders;
  const related = options.related ?? "tasks";
  const found = new Set<string>();
  for (const folder of list) {
    const path = resolve(options.base, folder instanceof URL ? fileURLToPath(folder) : pathOf(folder));
    const kind = await stat(path).catch(() => null);
    if (kind === null) {
      throw new ImproperlyConfigured(`autodiscoverTasks: ${path} does not exist`);
    }
    if (kind.isFile()) found.add(path);
    else await walk(path, { related, all: basename(path) === related, found });
  }
  return [...found].sort();
}

function pathOf(folder: string): string {
  return folder.startsWith("file:") ? fileURLToPath(folder) : folder;
}

interface Walk {
  readonly related: string;
  /** Inside a folder called `tasks`: every module counts. */
  readonly all: boolean;
  readonly found: Set<string>;
}

async function walk(folder: string, search: Walk): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  const names = new Set(entries.map((entry) => entry.name));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name.startsWith(".") || SKIPPED_FOLDERS.has(entry.name)) continue;
      await walk(path, { ...search, all: search.all || entry.name === search.related });
    } else if (!entry.isSymbolicLink() || (await stat(path).catch(() => null))?.isFile()) {
      if (!isModuleFile(entry.name)) continue;
      if (isTaskFile(entry.name, search) && !hasBuilt(entry.name, names)) search.found.add(path);
    }
  }
}

function isTaskFile(file: string, search: Walk): boolean {
  const stem = file.slice(0, file.lastIndexOf("."));
  if (/\.(test|spec|test-d)$/.test(stem)) return false;
  return search.all || stem === search.related || stem.endsWith(`.${search.related}`);
}

/** `x.ts` beside `x.js`, `x.mts` beside `x.mjs`. */
function hasBuilt(file: string, names: ReadonlySet<string>): boolean {
  return /\.[cm]?ts$/.test(file) && names.has(`${file.slice(0, -2)}js`);
}
