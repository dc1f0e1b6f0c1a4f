/** Apps with one task; a run of the program closes the one it was given. */
import { Celery } from "../../../src/index.ts";

function make(name: string): Celery {
  const made = new Celery(name);
  made.task("shop.add", (x: number) => x);
  return made;
}

export const app: Celery = make("app");
export const second: Celery = make("second");
export const third: Celery = make("third");
export const fourth: Celery = make("fourth");
