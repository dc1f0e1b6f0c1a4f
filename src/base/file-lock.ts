/**
 * Who writes a file: `<file>.lock` says which process. A process that is gone, or is on another host (a volume that was moved),
 * has lost it; if that one lives after all, {@link FileLock.mine} tells it so.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile, rename, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, in the kernel's words; null where it does not say. */
  readonly start: string | null;
  readonly token: string;
}

export class FileLock {
  readonly #path: string;
  readonly #mine: Holder = {
    pid: process.pid,
    host: hostname(),
    start: startOf(process.pid),
    token: randomUUID(),
  };

  constructor(file: string) {
    this.#path = `${file}.lock`;
  }

  /** The process of this host that has it; null: it is ours from now on. */
  async take(): Promise<number | null> {
    const holder = await this.#read();
    if (holder !== null && holder.token !== this.#mine.token && lives(holder)) return holder.pid;
    const temporary = `${this.#path}.${this.#mine.token}`;
    await writeFile(temporary, JSON.stringify(this.#mine), { flag: "wx", mode: 0o600 });
    await rename(temporary, this.#path);
    return (await this.mine()) ? null : ((await this.#read())?.pid ?? process.pid);
  }

  async mine(): Promise<boolean> {
    return (await this.#read())?.token === this.#mine.token;
  }

  async release(): Promise<void> {
    if (await this.mine()) await unlink(this.#path).catch(() => {});
  }

  async #read(): Promise<Holder | null> {
    try {
      const read: unknown = JSON.parse(await readFile(this.#path, "utf8"));
      const { pid, host, token, start } = (read ?? {}) as Readonly<Record<string, unknown>>;
      if (typeof pid !== "number" || typeof host !== "string" || typeof token !== "string") return null;
      return { pid, host, token, start: typeof start === "string" ? start : null };
    } catch {
      return null;
    }
  }
}

/** A container's first process has the number of the one before: it is another all the same. */
function lives(holder: Holder): boolean {
  if (holder.host !== hostname()) return false;
  if (holder.pid === process.pid) return holder.start === null || holder.start === startOf(process.pid);
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
  }
  return holder.start === null || holder.start === startOf(holder.pid);
}

/** Linux; elsewhere a number that was given again keeps a file locked until its lock is deleted. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}
