/** The web server's process. */
import { start } from "./start.ts";

await start(async () => {
  const { serve } = await import("./serve.ts");
  await serve();
});
