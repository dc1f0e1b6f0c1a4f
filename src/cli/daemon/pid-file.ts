/**
 * A file that holds the id of the process that runs, so that there is only one, and others can stop it. Python:
 * `celery.platforms.Pidfile`.
 *
 * | the file        | taking it                                   |
 * |-----------------|---------------------------------------------|
 * | is not there    | written                                     |
 * | is no pid       | replaced, and said                          |
 * | own pid, or of a process that is gone, or began after the file was written | replaced, and said |
 * | a process runs  | refused                                     |
 */
import { linkSync, readFileSync, renameSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { PetioleError } from "../../errors.ts";

/** Who is in a pid file. */
export type Holder =
  | { readonly kind: "none" }
  | { readonly kind: "broken" }
  | { readonly kind: "stale"; readonly pid: number }
  | { readonly kind: "runs"; readonly pid: number };

export class PidFile {
  readonly path: string;
  #held = false;
  readonly #atExit = (): void => this.release();

  constructor(path: string) {
    this.path = path;
  }

  /** Who is in the file now. */
  holder(): Holder {
    let text: string;
    try {
      text = readFileSync(this.path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return { kind: "none" };
      throw cannot(`the pid file ${this.path} cannot be read`, error);
    }
    const pid = Number(text);
    if (!/^\d+\n$/.test(text) || !Number.isSafeInteger(pid) || pid < 1) return { kind: "broken" };
    return pid !== process.pid && isRunning(pid) && !isYounger(pid, this.path)
      ? { kind: "runs", pid }
      : { kind: "stale", pid };
  }

  /** @throws PetioleError `PET_RUNNING`, with the process that has it */
  refuseIfRunning(): void {
    const holder = this.holder();
    if (holder.kind !== "runs") return;
    throw new PetioleError(
      "PET_RUNNING",
      `the pid file ${this.path} names process ${holder.pid}, which runs: stop it (kill ${holder.pid}), or give another file with --pidfile`,
    );
  }

  /** Holds the file until the process ends. `told` hears of a file that was left over. */
  take(told: (what: string) => void): void {
    this.refuseIfRunning();
    const { kind } = this.holder();
    if (kind !== "none") {
      told(
        `the pid file ${this.path} was ${kind === "broken" ? "no pid file" : "left over"}: it is replaced`,
      );
      this.#removeLeftOver();
    }
    try {
      writeFileSync(this.path, `${process.pid}\n`, { flag: "wx", mode: 0o644 });
    } catch (error) {
      // Another one was faster.
      if ((error as NodeJS.ErrnoException).code === "EEXIST") this.refuseIfRunning();
      throw cannot(`the pid file ${this.path} cannot be written`, error);
    }
    this.#held = true;
    process.once("exit", this.#atExit);
  }

  /** Removes the file, when it is this process's. Never throws. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    process.off("exit", this.#atExit);
    try {
      if (readFileSync(this.path, "utf8") === `${process.pid}\n`) unlinkSync(this.path);
    } catch {}
  }

  /** Moved away first: had another process written it meanwhile, it is put back. */
  #removeLeftOver(): void {
    const aside = `${this.path}.${process.pid}`;
    try {
      renameSync(this.path, aside);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
      throw cannot(`the pid file ${this.path} cannot be replaced`, error);
    }
    if (new PidFile(aside).holder().kind === "runs") linkSync(aside, this.path);
    unlinkSync(aside);
  }
}

/** Of another user too; not one that has ended and that nobody has asked after. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function isZombie(pid: number): boolean {
  try {
    return statOf(pid)[0] === "Z";
  } catch {
    return false;
  }
}

/** Fields of a process from its state on, where the system has them (Linux). */
function statOf(pid: number): readonly string[] {
  return readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
}

/** In clock ticks a second, as `/proc` counts on every Linux that Node runs on. */
const TICKS = 100;
/** Clocks of files and processes differ by less. ms. */
const SLACK_MS = 2_000;

/** The process began after the file was written: its id was used again. False where the system does not say (not Linux). */
function isYounger(pid: number, path: string): boolean {
  try {
    const bootSeconds = Number(/^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1]);
    const startedMs = (bootSeconds + Number(statOf(pid)[19]) / TICKS) * 1000;
    return startedMs > statSync(path).mtimeMs + SLACK_MS;
  } catch {
    return false;
  }
}

function cannot(what: string, cause: unknown): PetioleError {
  return new PetioleError("PET_DAEMON", `${what}: ${(cause as Error).message}`, { cause });
}
