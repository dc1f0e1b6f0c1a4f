/**
 * Says when another connection has committed: the folder is watched for the `-wal` file, which every commit writes to, and a slow
 * poll looks beneath that, for file systems and containers that tell nothing. Both ask `PRAGMA data_version`.
 */
import { type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock, Timer } from "../base/clock.ts";

const POLL_MS = 500;

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
  #version: number;
  #closed = false;

  constructor(options: WakeOptions) {
    this.#options = options;
    this.#version = options.version();
    const wal = `${basename(options.path)}-wal`;
    try {
      this.#watcher = watch(dirname(options.path), (_event, name) => {
        if (name === wal || name === null) this.look();
      });
      this.#watcher.on("error", () => this.#unwatch());
    } catch {
      // No more watches are to be had: the poll stays.
    }
    this.#poll();
  }

  /** Tells, if another connection has committed since the last look. */
  look(): void {
    if (this.#closed) return;
    const version = this.#options.version();
    if (version === this.#version) return;
    this.#version = version;
    this.#options.onChange();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
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
