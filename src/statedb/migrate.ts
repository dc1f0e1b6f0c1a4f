/** `--migrate-statedb`: takes over what a file holds, once. */
import { open, rename, stat } from "node:fs/promises";
import { ImproperlyConfigured } from "../errors.ts";
import { scan } from "./file/lines.ts";
import type { Revocations } from "./state-db.ts";

const PAGE = 1_000;
/** Standard input. */
const STDIN = "-";

export interface Migrated {
  readonly count: number;
  /** What the file is called now; null: it was standard input, or is not there (it was taken over before). */
  readonly renamed: string | null;
}

/**
 * Writes what the file holds with `write`, and gives it another name.
 *
 * @throws ImproperlyConfigured when it is not of the form of our state files; nothing was written then
 */
export async function migrateStateFile(
  path: string,
  write: (revoked: Revocations) => Promise<void>,
  nowMs: number,
): Promise<Migrated> {
  if (path !== STDIN && (await isAbsent(path))) return { count: 0, renamed: null };
  const found = { ids: new Set<string>(), stamps: new Set<string>() };
  const { bad, cut } = await scan(path === STDIN ? "/dev/stdin" : path, (line) => {
    if (line.kind === "id") found.ids.add(line.member);
    if (line.kind === "stamp") found.stamps.add(line.member);
  });
  if (bad > 0 || (cut > 0 && found.ids.size + found.stamps.size === 0)) throw unreadable(path);
  const ids = [...found.ids];
  for (let from = 0; from < ids.length; from += PAGE)
    await write({ ids: ids.slice(from, from + PAGE), stamps: [] });
  if (found.stamps.size > 0) await write({ ids: [], stamps: [...found.stamps] });
  const count = found.ids.size + found.stamps.size;
  if (path === STDIN) return { count, renamed: null };
  const renamed = `${path}.migrated.${new Date(nowMs).toISOString().replaceAll(/[-:]|\.\d+/g, "")}`;
  await rename(path, renamed);
  return { count, renamed };
}

async function isAbsent(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isFile()) return false;
  } catch (error) {
    // Python's dbm makes `<name>.db` or `<name>.dat` of a name.
    for (const ending of [".db", ".dat"]) {
      const handle = await open(path + ending, "r").catch(() => null);
      if (handle === null) continue;
      await handle.close();
      throw unreadable(path + ending);
    }
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return true;
    throw error;
  }
  throw unreadable(path);
}

function unreadable(path: string): ImproperlyConfigured {
  return new ImproperlyConfigured(
    `${path} is no state file of Petiole, and Python's shelve cannot be read here: docs/guides/state-db.md has the line of Python that turns it into one`,
  );
}
