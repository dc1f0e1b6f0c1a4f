/**
 * Says when another connection has committed: the folder is watched for the `-wal` file, which every commit writes to, and a slow
 * poll looks beneath that, for file systems and containers that tell nothing. Both ask `PRAGMA data_version`.
 */
import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";

const POLL_MS = 500;
/** A commit is seen a little after the last of its writes is told: looks so long after it, ms. */
const AGAIN_MS = [1, 4, 16] as const;

export interface WakeOptions {
  readonly path: string;
  readonly clock: Clock;
  /** Changes with every commit of another connection. */
  version(): number;
  onChange(): void;
  /** Each poll. */
  onPoll(): void;
}

export class Wake {
  readonly #options: WakeOptions;
  #watcher: FSWatcher | null = null;
  #timer: Timer | null = null;
  #again: Timer | null = null;
  /** Of those after the last thing told. */
  #looks = 0;
  #version: number;
  #closed = false;

  constructor(options: WakeOptions) {
    this.#options = options;
    this.#version = options.version();
    const wal = `${basename(options.path)}-wal`;
    try {
      this.#watcher = watch(dirname(options.path), (_event, name) => {
        if (name === wal || name === null) this.#told();
      });
      this.#watcher.on("error", () => this.#unwatch());
    } catch {
      // No more watches are to be had: the poll stays.
    }
    this.#poll();
  }

  #told(): void {
    if (this.look() || this.#closed) return;
    this.#looks = 0;
    if (this.#again === null) this.#lookAgain();
  }

  #lookAgain(): void {
    const delayMs = AGAIN_MS[this.#looks];
    this.#again = null;
    if (delayMs === undefined) return;
    this.#looks += 1;
    this.#again = this.#options.clock.setTimer(delayMs, () => {
      this.#again = null;
      if (!this.look() && !this.#closed) this.#lookAgain();
    });
  }

  /** Tells, if another connection has committed since the last look; true: one has. */
  look(): boolean {
    if (this.#closed) return false;
    const version = this.#options.version();
    if (version === this.#version) return false;
    this.#version = version;
    this.#options.onChange();
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#again?.cancel();
    this.#unwatch();
  }

  #unwatch(): void {
    this.#watcher?.close();
    this.#watcher = null;
  }

  #poll(): void {
    this.#timer = this.#options.clock.setTimer(POLL_MS, () => {
      this.look();
      if (!this.#closed) this.#options.onPoll();
      if (!this.#closed) this.#poll();
    });
  }
}
