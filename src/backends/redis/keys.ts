/**
 * Every key of the result backend in one place. `global_keyprefix` goes in front, with a `_` between unless it ends in one
 * of `: _ - .`. The channel that tells of a result is named like its key, in whatever database.
 * Python counterpart: `celery/backends/base.py` `KeyValueStoreBackend.get_key_for_task`.
 */
import { GROUP_PREFIX, LOG_PREFIX, META_PREFIX } from "../result-codec.ts";

/** What is put in front of every key. */
export function keyPrefix(globalKeyprefix: string): string {
  if (globalKeyprefix === "" || /[:_.-]$/.test(globalKeyprefix)) return globalKeyprefix;
  return `${globalKeyprefix}_`;
}

export class ResultKeys {
  readonly #metaPrefix: string;
  readonly #groupPrefix: string;
  readonly #logPrefix: string;

  constructor(globalKeyprefix: string) {
    this.#metaPrefix = keyPrefix(globalKeyprefix) + META_PREFIX;
    this.#groupPrefix = keyPrefix(globalKeyprefix) + GROUP_PREFIX;
    this.#logPrefix = keyPrefix(globalKeyprefix) + LOG_PREFIX;
  }

  /** STRING with TTL: the last state of a task. */
  meta(taskId: string): string {
    return this.#metaPrefix + taskId;
  }

  /** STRING with TTL: what a task with `storeLogs` has logged. Petiole's own. */
  log(taskId: string): string {
    return this.#logPrefix + taskId;
  }

  /** ZSET: chords that are complete, by when whoever took one must have ended it (ms). Ours alone. */
  get dueChords(): string {
    return `${this.#groupPrefix}petiole.due`;
  }

  /** HASH: of the same, by group, what it takes to go on. Ours alone. */
  get chordNotes(): string {
    return `${this.#groupPrefix}petiole.notes`;
  }

  /** All with TTL. `parts`: ZSET by place, or LIST; `extra` and `size`: STRING. Ours alone: `seen`, HASH, ids without a place; `sent`, messages of the body that are sent. */
  chord(id: string): {
    readonly parts: string;
    readonly extra: string;
    readonly size: string;
    readonly seen: string;
    readonly sent: string;
  } {
    const key = this.group(id);
    return {
      parts: `${key}.j`,
      extra: `${key}.t`,
      size: `${key}.s`,
      seen: `${key}.seen`,
      sent: `${key}.sent`,
    };
  }

  /** STRING with TTL: a saved group. With `.s`, `.j` and `.t` behind it: a chord in progress. */
  group(id: string): string {
    return this.#groupPrefix + id;
  }
}
