import { expect, test } from "vitest";
import { Service } from "../../../src/base/lifecycle.ts";

class Sample extends Service {
  readonly events: string[] = [];
  readonly #failing: boolean;
  readonly #gate: Promise<void>;
  constructor(options: { failing?: boolean; gate?: Promise<void> } = {}) {
    super();
    this.#failing = options.failing ?? false;
    this.#gate = options.gate ?? Promise.resolve();
  }
  protected async onStart(signal: AbortSignal): Promise<void> {
    await this.#gate;
    this.events.push(signal.aborted ? "start aborted" : "start");
    if (this.#failing) throw new Error("cannot start");
  }
  protected async onStop(): Promise<void> {
    this.events.push("stop");
  }
}

test("starting twice starts once", async () => {
  const service = new Sample();
  await Promise.all([service.start(), service.start()]);
  expect(service.events).toEqual(["start"]);
  expect(service.state).toBe("running");
});

test("stopping twice stops once", async () => {
  const service = new Sample();
  await service.start();
  await Promise.all([service.stop(), service.stop()]);
  expect(service.events).toEqual(["start", "stop"]);
  expect(service.state).toBe("stopped");
});

test("a stop before the start is allowed, and the start then refuses", async () => {
  const service = new Sample();
  await service.stop();
  await expect(service.start()).rejects.toMatchObject({ code: "PET_CLOSED" });
});

test("a stop during the start waits for it and tells it to hurry", async () => {
  let open = (): void => {};
  const service = new Sample({ gate: new Promise((resolve) => (open = resolve)) });
  const starting = service.start();
  const stopping = service.stop();
  open();
  await Promise.all([starting, stopping]);
  expect(service.events).toEqual(["start aborted", "stop"]);
  expect(service.state).toBe("stopped");
});

test("a failed start cleans up and stays stopped", async () => {
  const service = new Sample({ failing: true });
  await expect(service.start()).rejects.toThrow("cannot start");
  expect(service.events).toEqual(["start", "stop"]);
  expect(service.state).toBe("stopped");
  await service.stop();
  expect(service.events).toEqual(["start", "stop"]);
});
