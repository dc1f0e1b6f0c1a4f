import { Celery, type CeleryOptions } from "petiole";
import { Beat } from "petiole/beat";

/** A scheduler of an app of its own runs until that has come. */
export async function withBeat(settings: CeleryOptions, until: () => Promise<unknown>): Promise<void> {
  const app = new Celery("shop", settings);
  const beat = new Beat(app);
  await beat.start();
  try {
    await until();
  } finally {
    await beat.stop();
    await app.close();
  }
}
