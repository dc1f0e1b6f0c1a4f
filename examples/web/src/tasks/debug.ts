/** Prints what a task knows of itself. */
import { sharedTask } from "petiole";

export const debugTask = sharedTask("web.debug_task", { bind: true }, (task) => {
  task.log.info({ request: task.request }, "Request");
});
