/** What a log tells of its tasks. Python: `Audit` of `celery/bin/logtool.py`. */
import type { EntryKind, LogEntry } from "./entries.ts";

/** How a task can end. */
const ENDS: ReadonlySet<EntryKind> = new Set(["succeeded", "failed", "rejected", "ignored", "revoked"]);

export interface LogStats {
  /** Tasks that were received, each id once. */
  readonly total: number;
  readonly succeeded: number;
  /** Tasks that ended otherwise. */
  readonly errors: number;
  readonly retries: number;
  readonly completed: number;
  /** Most first. */
  readonly types: Readonly<Record<string, number>>;
}

export class LogAudit {
  /** By id: the task's name, and the last that was told of it. */
  readonly #tasks = new Map<string, { readonly task: string; kind: EntryKind }>();
  #retries = 0;

  add({ kind, task, id }: LogEntry): void {
    if (kind === "other" || task === null || id === null) return;
    if (kind === "retried") this.#retries += 1;
    const known = this.#tasks.get(id);
    if (known === undefined) this.#tasks.set(id, { task, kind });
    // A line that was written late must not bring an ended task back.
    else if (!ENDS.has(known.kind) || ENDS.has(kind)) known.kind = kind;
  }

  stats(): LogStats {
    const all = [...this.#tasks.values()];
    const completed = all.filter((one) => ENDS.has(one.kind)).length;
    const succeeded = all.filter((one) => one.kind === "succeeded").length;
    const types = new Map<string, number>();
    for (const { task } of all) types.set(task, (types.get(task) ?? 0) + 1);
    return {
      total: all.length,
      succeeded,
      errors: completed - succeeded,
      retries: this.#retries,
      completed,
      types: Object.fromEntries([...types].sort(([, a], [, b]) => b - a)),
    };
  }

  /** Tasks without an end, in the order in which they were received. */
  incomplete(): readonly { readonly task: string; readonly id: string }[] {
    return [...this.#tasks].flatMap(([id, { task, kind }]) => (ENDS.has(kind) ? [] : [{ task, id }]));
  }
}
