/** The Celery app of this service. Web server, workers and scheduler all load this module. */
import { Celery } from "petiole";
import * as settings from "./settings.ts";

export const app = new Celery("web");

app.configFromObject(settings, { namespace: "CELERY" });

// The modules in src/tasks/ register shared tasks, which are then tasks of this app.
await app.autodiscoverTasks(new URL("tasks/", import.meta.url));
