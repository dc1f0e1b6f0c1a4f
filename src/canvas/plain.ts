/** Which signatures this version can send: those of single tasks. The rest of Celery's canvas is refused by name. */
import { PetioleError } from "../errors.ts";

/** Tasks of Celery that stand for a canvas: they are taken apart by the sender, never sent as such. */
const CANVAS_TASKS: ReadonlyMap<string, string> = new Map([
  ["celery.chain", "chain"],
  ["celery.group", "group"],
  ["celery.chord", "chord"],
  ["celery.chunks", "chunks"],
  ["celery.map", "map"],
  ["celery.starmap", "starmap"],
  ["celery.chord_unlock", "chord"],
]);

/** The canvas feature that a signature or a task needs and this version lacks; null: a plain task. */
export function canvasFeature(task: string, subtaskType: string | null): string | null {
  return CANVAS_TASKS.get(task) ?? subtaskType;
}

/** Throws `PET_UNSUPPORTED` for a signature that is not of a single task. */
export function assertPlain(task: string, subtaskType: string | null): void {
  const feature = canvasFeature(task, subtaskType);
  if (feature === null) return;
  throw new PetioleError(
    "PET_UNSUPPORTED",
    `a ${feature} cannot be sent by this version of petiole: only signatures of single tasks can (task ${task})`,
  );
}
