// The samples of the README and the guide. Each block is one file there.
import { setTimeout as sleep } from "node:timers/promises";
import { Celery, type Kwargs, kw, sharedTask } from "petiole";
import { z } from "zod";

// --- 1. First task ---------------------------------------------------------------------------------------------------
export const app = new Celery("shop", {
  brokerUrl: "redis://localhost:6379/0",
  resultBackend: "redis://localhost:6379/1",
});

export const add = app.task("shop.add", (x: number, y: number) => x + y);

// --- 2. Calling ------------------------------------------------------------------------------------------------------
export async function calling(): Promise<void> {
  const result = await add.delay(2, 3); // the broker has it
  const sum = await result.get({ timeout: 10 }); // 5

  await add.applyAsync([2, sum], { countdown: 60, queue: "low", expires: 3600 });

  const later = add.asyncResult(result.id);
  const status = await later.status();
  if (!status.ready) console.log("still", status.state);
  else if (status.state === "SUCCESS") console.log(status.result.toFixed(2));
  else console.log("failed:", status.error.message);
}

// --- 3. Options ------------------------------------------------------------------------------------------------------
export const report = app.task(
  "shop.report",
  { queue: "reports", acksLate: true, timeLimit: 300, softTimeLimit: 240, rateLimit: "10/m" },
  async (year: number, format: "pdf" | "csv" = "pdf") => `report-${year}.${format}`,
);

// --- 4. Retries ------------------------------------------------------------------------------------------------------
class RateLimited extends Error {
  readonly retryAfter = 30;
}

export const crawl = app.task(
  "shop.crawl",
  { bind: true, autoretryFor: [TypeError], retryBackoff: true, maxRetries: 5 },
  async (task, url: string) => {
    try {
      const response = await fetch(url, { signal: task.signal });
      return { status: response.status, length: (await response.text()).length };
    } catch (error) {
      if (error instanceof RateLimited) throw task.retry({ countdown: error.retryAfter, cause: error });
      throw error;
    }
  },
);

// --- 5. Progress -----------------------------------------------------------------------------------------------------
export const encode = app.task("media.encode", { bind: true }, async (task, file: string, parts: number) => {
  for (let done = 0; done < parts; done += 1) {
    await sleep(1000, undefined, { signal: task.signal });
    await task.updateState("PROGRESS", { done, of: parts });
  }
  return `${file}.mp4`;
});

// --- 6. Signatures and callbacks -------------------------------------------------------------------------------------
export const mail = app.task("shop.mail", async (total: number, to: string) => `sent ${total} to ${to}`);
export const onError = app.errback("shop.on_error", (request, error) => {
  console.log(request.id, error.type);
});

export async function callbacks(): Promise<void> {
  await add.s(1, 2).link(mail.s("ops@example.com")).linkError(onError.s()).delay();
  const [one, two] = await app.sendMany([add.s(1, 1), report.s(2026)]); // one round trip
  console.log(await one?.get(), await two?.get());
}

// --- 7. A Python task, typed -----------------------------------------------------------------------------------------
declare module "petiole" {
  interface TaskRegistry {
    "images.resize": (url: string, options: Kwargs<{ width: number; height?: number }>) => string;
  }
}
const resize = app.remote("images.resize");
const wordCount = app.remote<(text: string) => number>("nlp.word_count");

export async function python(): Promise<void> {
  const small = await resize.delay("https://example.com/a.png", kw({ width: 80 }));
  const words = await wordCount.delay("to be or not to be");
  console.log(await small.get(), (await words.get()).toFixed());
}

// --- 8. Checked input ------------------------------------------------------------------------------------------------
const Order = z.object({ id: z.uuid(), quantity: z.int().positive(), gift: z.boolean().default(false) });

export const placeOrder = app.task(
  "shop.order",
  { input: Order, output: z.object({ total: z.number() }) },
  async (order) => {
    return { total: order.quantity * (order.gift ? 12 : 10) };
  },
);

export const ordering = (id: string) => placeOrder.delay({ id, quantity: 3 }); // Python: place_order.delay(id=…, quantity=3)

// --- 9. A module that does not know its app --------------------------------------------------------------------------
export const thumbnail = sharedTask(
  "media.thumbnail",
  async (file: string, width = 120) => `${file}@${width}`,
);

// --- 10. Revoke, and a look at the workers ---------------------------------------------------------------------------
export async function stopping(id: string): Promise<number> {
  const running = encode.asyncResult(id);
  await running.revoke({ terminate: true, wait: 1 });
  await app.control.rateLimit(encode, "10/m");
  const active = await app.control.inspect({ timeout: 2 }).active();
  return Object.values(active)
    .flat()
    .filter((task) => task.name === encode.name).length;
}

// --- 11. One look, and what came of it -------------------------------------------------------------------------------
export async function looking(id: string): Promise<string> {
  const outcome = await encode.asyncResult(id).outcome({ timeout: 5 });
  if (outcome.state === "REVOKED") return "stopped";
  return outcome.state === "SUCCESS" ? outcome.result : outcome.error.message;
}
