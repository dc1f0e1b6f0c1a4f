/** `task.replace`: another signature finishes in a task's place. Python: `Task.replace`. */
import type { AnySignature } from "../canvas/canvas-types.ts";
import { kindOf, tasksOf } from "../canvas/data.ts";
import { ImproperlyConfigured, Replaced } from "../errors.ts";
import type { TaskRequest } from "./context-types.ts";

/**
 * The error that makes the worker send it; to be thrown.
 *
 * @throws ImproperlyConfigured for what cannot stand in a task's place
 */
export function replacement(name: string, request: TaskRequest, signature: AnySignature): Replaced {
  const data = signature.toJSON();
  if (data.options["chord"] !== undefined)
    throw new ImproperlyConfigured("A signature replacing a task must not be part of a chord");
  if (kindOf(data) === "chain" && tasksOf(data).length === 0)
    throw new ImproperlyConfigured("Cannot replace with an empty chain");
  const how = request.calledDirectly ? ", and was called directly: only a worker can send that" : "";
  return new Replaced(`task ${name} is to be replaced by ${data.task}${how}`, data);
}
