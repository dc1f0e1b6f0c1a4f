import { describe, expect, test } from "vitest";
import { publishPolicy, retryDelayMs } from "../../../src/app/publish-retry.ts";
import { type Batch, Publisher } from "../../../src/app/publisher.ts";
import { OperationalError, type PublishOutcome } from "../../../src/errors.ts";
import type { RetryPolicy } from "../../../src/task/send-types.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { NotingTransport } from "./support.ts";

const queue = { name: "celery", exchange: "celery", type: "direct", routingKey: "celery" } as const;
const message = { body: "[]", contentType: "a", contentEncoding: "b", headers: {}, properties: {} };
const outgoing = { message, exchange: "", type: "direct", routingKey: "celery", priority: 0 } as const;

function batch(policy: RetryPolicy = {}): Batch {
  return {
    messages: [outgoing],
    progress: { sent: 0 },
    unique: null,
    handOver: null,
    declarations: [queue],
    policy: publishPolicy(policy),
    task: "shop.add",
    id: "1",
  };
}

function setup() {
  const clock = new VirtualClock();
  const transport = new NotingTransport();
  let opened = 0;
  const publisher = new Publisher({
    clock,
    open: async () => {
      opened += 1;
      return transport;
    },
  });
  return { clock, transport, publisher, opened: () => opened };
}

const unreachable = (outcome: PublishOutcome) => new OperationalError("connection refused", { outcome });

/** Lets everything that is ready run. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Handled from the start, checked when awaited. */
function rejection(promise: Promise<unknown>, expected: object): Promise<void> {
  return promise.then(
    () => Promise.reject(new Error("it resolved")),
    (error: unknown) => expect(error).toMatchObject(expected),
  );
}

/** Moves the clock until the promise settles; how many ms that took. */
async function elapse(clock: VirtualClock, promise: Promise<unknown>, maxMs = 60_000): Promise<number> {
  const state = { done: false };
  const end = (): void => {
    state.done = true;
  };
  promise.then(end, end);
  let spent = 0;
  for (await settle(); !state.done && spent < maxMs; spent += 50) {
    clock.advance(50);
    await settle();
  }
  return spent;
}

test("many messages go out in parts, and what the broker has is not sent again", async () => {
  const { publisher, transport, clock } = setup();
  Object.assign(transport, { capabilities: { ...transport.capabilities, atomicPublishMany: false } });
  const messages = Array.from({ length: 1200 }, (_, n) => ({ ...outgoing, routingKey: `q${n}` }));
  let calls = 0;
  transport.onPublish = () => {
    calls += 1;
    if (calls === 2) throw unreachable("not sent");
  };
  const sending = publisher.publish({ ...batch(), messages });
  await elapse(clock, sending);
  await sending;
  expect(transport.calls.map((call) => call.length)).toEqual([500, 500, 200]);
  expect(transport.sent).toEqual(messages);
});

test("of parts of which one cannot be sent it is said that some may have been", async () => {
  const { publisher, transport, clock } = setup();
  Object.assign(transport, { capabilities: { ...transport.capabilities, atomicPublishMany: false } });
  transport.onPublish = () => {
    if (transport.calls.length === 1) throw unreachable("not sent");
  };
  const sending = publisher.publish({
    ...batch({ maxRetries: 0 }),
    messages: Array.from({ length: 600 }, () => outgoing),
  });
  const refused = rejection(sending, { outcome: "unknown" });
  await elapse(clock, sending);
  await refused;
  expect(transport.sent).toHaveLength(500);
});

describe("opening", () => {
  test("concurrent first sends share one connection and one declaration", async () => {
    const { publisher, transport, opened } = setup();
    await Promise.all([publisher.publish(batch()), publisher.publish(batch()), publisher.publish(batch())]);
    expect(opened()).toBe(1);
    expect(transport.starts).toBe(1);
    expect(transport.declared).toEqual([queue]);
    expect(transport.calls).toHaveLength(3);
  });

  test("is ready at once for a queue that is declared", async () => {
    const { publisher, transport } = setup();
    expect(publisher.ready(queue)).toBeNull();
    await publisher.publish(batch());
    expect(publisher.ready(queue)).toBe(transport);
    expect(publisher.ready({ ...queue })).toBeNull();
    expect(publisher.ready(null)).toBe(transport);
  });

  test("a failed opening is stopped, and tried again by the next attempt", async () => {
    const { publisher, transport, clock, opened } = setup();
    transport.onStart = () => {
      if (transport.starts < 3) throw unreachable("not sent");
    };
    const sent = publisher.publish(batch());
    await elapse(clock, sent);
    await sent;
    expect(opened()).toBe(3);
    expect(transport.stops).toBe(2);
  });

  test("an error that is not the broker's is not tried again", async () => {
    const { publisher, transport, opened } = setup();
    transport.onStart = () => {
      throw new TypeError("a bug");
    };
    await expect(publisher.publish(batch())).rejects.toThrow("a bug");
    expect(opened()).toBe(1);
  });

  test("a declaration that fails is made again", async () => {
    const { publisher, transport, clock } = setup();
    let fails = 2;
    transport.onDeclare = () => {
      fails -= 1;
      if (fails >= 0) throw new OperationalError("lost");
    };
    const sent = publisher.publish(batch());
    await elapse(clock, sent);
    await sent;
    expect(transport.declared).toEqual([queue]);
  });
});

describe("the retry policy", () => {
  test("is Celery's by default: three more attempts, after 0, 0.2 and 0.4 s", async () => {
    const { publisher, transport, clock } = setup();
    let attempts = 0;
    transport.onPublish = () => {
      attempts += 1;
      throw unreachable("not sent");
    };
    const sent = publisher.publish(batch());
    const failed = rejection(sent, { outcome: "not sent" });
    const spent = await elapse(clock, sent);
    await failed;
    expect(attempts).toBe(4);
    expect(spent).toBeGreaterThanOrEqual(600);
    expect(spent).toBeLessThanOrEqual(700);
  });

  test.each([
    [{}, [0, 200, 400, 600, 800, 1000, 1000]],
    [{ intervalStart: 1, intervalStep: 1, intervalMax: 3 }, [1000, 2000, 3000, 3000]],
    [{ intervalStart: 5, intervalMax: 1 }, [5000, 5000]],
  ])("%j waits %j ms", (given, delays) => {
    const policy = publishPolicy(given);
    expect(delays.map((_, retry) => Math.round(retryDelayMs(policy, retry)))).toEqual(delays);
  });

  test("later policies win name by name, undefined does not count", () => {
    const policy = publishPolicy({ maxRetries: 5, intervalMax: 2 }, null, {
      maxRetries: undefined,
      intervalMax: 9,
    });
    expect(policy).toMatchObject({ maxRetries: 5, intervalMaxMs: 9000, timeoutMs: 10_000 });
  });

  test("maxRetries: null has no end, unless a timeout is given", () => {
    expect(publishPolicy({ maxRetries: null }).timeoutMs).toBeNull();
    expect(publishPolicy({ maxRetries: null, timeout: 3 }).timeoutMs).toBe(3000);
  });

  test("resolves when the broker is back, however long that took", async () => {
    const { publisher, transport, clock } = setup();
    transport.onPublish = () => {
      if (clock.monotonic() < 30_000) throw unreachable("not sent");
    };
    const sent = publisher.publish(batch({ maxRetries: null }));
    expect(await elapse(clock, sent)).toBeGreaterThanOrEqual(30_000);
    await sent;
    expect(transport.calls).toHaveLength(1);
  });

  test("ends within its timeout, also when an attempt hangs", async () => {
    const { publisher, transport, clock } = setup();
    transport.onPublish = (signal) =>
      new Promise((_, reject) =>
        signal?.addEventListener("abort", () =>
          reject(new OperationalError("cut off", { outcome: "unknown" })),
        ),
      );
    const sent = publisher.publish(batch());
    const failed = rejection(sent, { outcome: "unknown", code: "PET_BROKER_UNREACHABLE" });
    const spent = await elapse(clock, sent);
    await failed;
    expect(spent).toBeGreaterThanOrEqual(9900);
    expect(spent).toBeLessThanOrEqual(10_100);
  });

  test("ends within its timeout, also when the opening hangs; the others keep the opening", async () => {
    const { publisher, transport, clock, opened } = setup();
    let open = (): void => {};
    transport.onStart = () =>
      new Promise<void>((resolve) => {
        open = resolve;
      });
    const hasty = publisher.publish(batch({ timeout: 1 }));
    const patient = publisher.publish(batch({ timeout: 5 }));
    const failed = rejection(hasty, { outcome: "not sent" });
    await elapse(clock, hasty);
    await failed;
    open();
    await patient;
    expect(opened()).toBe(1);
    expect(clock.timers).toBe(0);
  });

  test("is not asked when the server refuses to serve", async () => {
    const { publisher, transport } = setup();
    let attempts = 0;
    transport.onPublish = () => {
      attempts += 1;
      throw new OperationalError("Redis 5 is too old", { code: "PET_BROKER_REFUSED", outcome: "not sent" });
    };
    await expect(publisher.publish(batch())).rejects.toMatchObject({ code: "PET_BROKER_REFUSED" });
    expect(attempts).toBe(1);
  });

  test("says unknown when any attempt may have arrived, and names the task, its id and the attempts", async () => {
    const { publisher, transport, clock } = setup();
    let attempts = 0;
    transport.onPublish = () => {
      attempts += 1;
      throw unreachable(attempts === 2 ? "unknown" : "not sent");
    };
    const sent = publisher.publish(batch());
    const failed = rejection(sent, {
      message: expect.stringMatching(
        /task shop\.add\[1\] could not be sent after 4 attempts, it may have been sent.*: connection refused/u,
      ),
    });
    await elapse(clock, sent);
    await failed;
    await expect(sent).rejects.toMatchObject({ outcome: "unknown" });
  });
});

describe("closing", () => {
  test("without any send opens nothing", async () => {
    const { publisher, opened } = setup();
    await publisher.close();
    expect(opened()).toBe(0);
  });

  test("waits for sends in flight, then stops the transport once", async () => {
    const { publisher, transport } = setup();
    await publisher.publish(batch());
    publisher.begin();
    const closing = publisher.close();
    await settle();
    expect(transport.stops).toBe(0);
    publisher.end();
    await closing;
    await publisher.close();
    expect(transport.stops).toBe(1);
  });

  test("refuses new sends", async () => {
    const { publisher } = setup();
    await publisher.close();
    expect(() => publisher.begin()).toThrow(/was closed/u);
  });

  test("ends the wait between two attempts", async () => {
    const { publisher, transport } = setup();
    transport.onPublish = () => {
      throw unreachable("not sent");
    };
    const sent = publisher.publish(batch({ intervalStart: 60, intervalMax: 60, timeout: 600 }));
    const failed = rejection(sent, { outcome: "not sent" });
    await settle();
    await publisher.close();
    await failed;
    expect(transport.calls).toEqual([]);
  });
});
