/**
 * Who writes a state file: `<file>.lock` says which process. A process that is gone, or is on another host (a volume that was
 * moved), has lost it; if that one lives after all it sees so at its next checkpoint, and only appends from then on.
 */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile, rename, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { ImproperlyConfigured } from "../../errors.ts";

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, in the kernel's words; null where it does not say. */
  readonly start: string | null;
  readonly token: string;
}

export class FileLock {
  readonly #path: string;
  readonly #file: string;
  readonly #mine: Holder = {
    pid: process.pid,
    host: hostname(),
    start: startOf(process.pid),
    token: randomUUID(),
  };

  constructor(file: string) {
    this.#file = file;
    this.#path = `${file}.lock`;
  }

  /** @throws ImproperlyConfigured when a process of this host has it */
  async take(): Promise<void> {
    const holder = await this.#read();
    if (holder !== null && lives(holder)) {
      throw new ImproperlyConfigured(
        `the state file ${this.#file} is in use by process ${holder.pid}: give each worker its own, for example with %n in the name`,
      );
    }
    const temporary = `${this.#path}.${this.#mine.token}`;
    await writeFile(temporary, JSON.stringify(this.#mine), { flag: "wx", mode: 0o600 });
    await rename(temporary, this.#path);
    if (!(await this.mine()))
      throw new ImproperlyConfigured(`the state file ${this.#file} was taken by another worker`);
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
