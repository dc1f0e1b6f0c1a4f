import { type ControlReply, currentTask, type Replies, type TaskInfo } from "petiole";
import { expectTypeOf, test } from "vitest";
import { app } from "./samples.ts";

test("replies come by node name", () => {
  expectTypeOf(app.control.ping()).resolves.toEqualTypeOf<Replies<{ readonly ok: "pong" }>>();
  expectTypeOf(app.control.revoke(["a", "b"], { terminate: true, signal: "SIGKILL" })).resolves.toEqualTypeOf<
    Replies<ControlReply>
  >();
  expectTypeOf(app.control.inspect({ destination: ["a@host"] }).active()).resolves.toEqualTypeOf<
    Replies<readonly TaskInfo[]>
  >();
  expectTypeOf(app.control.broadcast("own", { x: 1 })).resolves.toEqualTypeOf<Replies<unknown>>();
});

test("a task may be given as its object, a matcher is one of two", () => {
  const task = app.remote<(x: number) => number>("other");
  expectTypeOf(app.control.rateLimit(task, "10/m")).resolves.toEqualTypeOf<Replies<ControlReply>>();
  expectTypeOf(app.control.timeLimit(task, { soft: 1 })).resolves.toEqualTypeOf<Replies<ControlReply>>();
  // @ts-expect-error regex is not one
  void app.control.ping({ pattern: ".*", matcher: "regex" });
  // @ts-expect-error a limit without its unit's name
  void app.control.timeLimit(task, { softLimit: 1 });
});

test("commands of one's own get their arguments and the worker", () => {
  app.control.command("greet", { type: "inspect", args: ["name"] }, (args, worker) => {
    expectTypeOf(args).toEqualTypeOf<Readonly<Record<string, unknown>>>();
    expectTypeOf(worker.hostname).toEqualTypeOf<string>();
    return args["name"];
  });
  expectTypeOf(currentTask()?.isRevoked()).toEqualTypeOf<boolean | undefined>();
});
