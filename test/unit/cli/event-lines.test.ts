/** The lines of `petiole events --dump`; that they are Celery's is seen in the interop suite. */
import { expect, test } from "vitest";
import { EventLines } from "../../../src/cli/event-lines.ts";
import type { AnyEvent } from "../../../src/protocol/events.ts";

const HEAD = { hostname: "w@h", timestamp: 1795223505.5317483, clock: 4, pid: 9, utcoffset: 0 };

test("a worker's line has its fields in order, floats with a fraction", () => {
  const event = {
    ...HEAD,
    type: "worker-heartbeat",
    freq: 2,
    loadavg: [1, 0.5, 0],
    active: 0,
    local_received: 7,
  };
  expect(new EventLines().lineOf(event as AnyEvent)).toBe(
    "w@h [2026-11-21 01:11:45.531748+00:00] heartbeat: active=0, clock=4, freq=2.0, loadavg=[1.0, 0.5, 0.0], local_received=7.0, pid=9, utcoffset=0",
  );
});

test("a task is named by what was told of it first", () => {
  const lines = new EventLines();
  const received = {
    ...HEAD,
    type: "task-received",
    uuid: "t1",
    name: "add",
    args: "(2, 3)",
    kwargs: "{}",
    eta: null,
  };
  expect(lines.lineOf(received as AnyEvent)).toBe(
    "w@h [2026-11-21 01:11:45.531748+00:00] task received: add(t1) args=(2, 3) kwargs={} clock=4, eta=None, pid=9, utcoffset=0",
  );
  const rejected = { ...HEAD, timestamp: 1795223505, type: "task-rejected", uuid: "t1", requeue: true };
  expect(lines.lineOf(rejected as AnyEvent)).toBe(
    "w@h [2026-11-21 01:11:45+00:00] task rejected: add(t1) args=(2, 3) kwargs={} clock=4, pid=9, requeue=True, utcoffset=0",
  );
});

test("control characters of strangers do not reach the terminal", () => {
  const event = { ...HEAD, hostname: "w\u001b[2J@h", type: "task-x", uuid: "u", note: "a\u0007b" };
  expect(new EventLines().lineOf(event as AnyEvent)).toMatch(/^w\\x1b\[2J@h .*note=a\\x07b/);
});
