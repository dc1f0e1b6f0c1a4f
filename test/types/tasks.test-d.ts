import { type } from "arktype";
import {
  type AsyncResult,
  Celery,
  type Kwargs,
  kw,
  type RemoteTask,
  sharedTask,
  type Task,
  type TaskContext,
} from "petiole";
import * as v from "valibot";
import { expectTypeOf, test } from "vitest";
import { z } from "zod";

const app = new Celery("t");

test("parameters and result are inferred, with names and defaults", () => {
  expectTypeOf(app.task("a", (x: number, y: number) => x + y)).toEqualTypeOf<
    Task<[x: number, y: number], number>
  >();
  expectTypeOf(app.task("a", (x: number, y = 2) => x + y)).toEqualTypeOf<
    Task<[x: number, y?: number | undefined], number>
  >();
  expectTypeOf(app.task("a", async (...xs: number[]) => xs.length)).toEqualTypeOf<Task<number[], number>>();
  expectTypeOf(app.task("a", { queue: "q" }, async (x: number, y?: string) => `${x}${y}`)).toEqualTypeOf<
    Task<[x: number, y?: string | undefined], string>
  >();
  expectTypeOf(app.task("a", { bind: false }, (x: number) => x)).toEqualTypeOf<Task<[x: number], number>>();
  expectTypeOf(sharedTask("a", (x: boolean) => x)).toEqualTypeOf<Task<[x: boolean], boolean>>();
});

test("nothing becomes null", () => {
  expectTypeOf(app.task("a", async () => {})).toEqualTypeOf<Task<[], null>>();
  expectTypeOf(app.task("a", (x: number) => (x > 0 ? x : undefined))).toEqualTypeOf<
    Task<[x: number], number | null>
  >();
});

test("bind gives a context that the caller does not pass", () => {
  const bound = app.task("a", { bind: true, acksLate: true }, async (task, url: string, depth = 1) => {
    expectTypeOf(task).toEqualTypeOf<TaskContext>();
    return url.length + depth;
  });
  expectTypeOf(bound).toEqualTypeOf<Task<[url: string, depth?: number | undefined], number>>();
  expectTypeOf(app.task("a", { bind: true }, async (task) => task.request.id)).toEqualTypeOf<
    Task<[], string>
  >();
  expectTypeOf<ReturnType<TaskContext["retry"]>>().toEqualTypeOf<never>();
});

test("schemas of zod, valibot and arktype", () => {
  const a = app.task(
    "a",
    { input: z.object({ to: z.string(), n: z.number().default(3) }) },
    async ({ to, n }) => to.length + n,
  );
  expectTypeOf(a).toEqualTypeOf<Task<[input: { to: string; n?: number | undefined }], number>>();
  const b = app.task(
    "a",
    { input: v.object({ to: v.string() }), bind: true },
    async (task, { to }) => to + task.name,
  );
  expectTypeOf(b).toEqualTypeOf<Task<[input: { to: string }], string>>();
  const c = app.task(
    "a",
    { input: type({ to: "string" }), output: z.object({ at: z.coerce.date() }) },
    async ({ to }) => ({ at: to }),
  );
  expectTypeOf(c).toEqualTypeOf<Task<[input: { to: string }], { at: Date }>>();
  const d = app.task(
    "a",
    {
      input: z.discriminatedUnion("k", [
        z.object({ k: z.literal("a"), x: z.number() }),
        z.object({ k: z.literal("b") }),
      ]),
    },
    (i) => i.k,
  );
  expectTypeOf(d).toEqualTypeOf<Task<[input: { k: "a"; x: number } | { k: "b" }], "a" | "b">>();
});

test("what travels and what does not", () => {
  interface Tree {
    readonly value: number;
    readonly children: readonly Tree[];
  }
  type Brand = string & z.core.$brand<"id">;
  app.task(
    "a",
    (
      _a: Tree,
      _b: Date,
      _c: Uint8Array,
      _d: Record<string, number | null>,
      _e: Brand,
      _f: unknown,
      _g: any,
      _h: bigint | number,
    ) => new Uint8Array(),
  );
  app.task("a", (_o: { a?: string; b?: { c: Date[] } }) => ({ when: new Date() }));
  app.task("a", (_b: Buffer) => Buffer.from(""));
  app.task("a", (o: { one: any; two: unknown; three: { four: any }[] }) => ({ five: o.one, six: 6 }));
  // @ts-expect-error a function beside an any
  app.task("a", (_o: { one: any; two: () => void }) => 1);
  // @ts-expect-error a Set
  app.task("a", (_s: Set<string>) => 1);
  // @ts-expect-error a class with methods
  app.task("a", (_u: URL) => 1);
  // @ts-expect-error a symbol
  app.task("a", (_o: { s: symbol }) => 1);
  // @ts-expect-error an Error as a result
  app.task("a", () => new Error("x"));
  // @ts-expect-error a bigint below an array
  app.task("a", (_o: { ids: bigint[] }) => 1);
});

test("remote tasks", () => {
  expectTypeOf(app.remote<(x: number, y: number) => number>("p.add")).toEqualTypeOf<
    RemoteTask<[x: number, y: number], number>
  >();
  const local = app.task("a", (x: string) => x.length);
  expectTypeOf(app.remote<typeof local>("a")).toEqualTypeOf<RemoteTask<[x: string], number>>();
  expectTypeOf(app.remote("test.known")).toEqualTypeOf<
    RemoteTask<[x: number, y?: string | undefined], Date>
  >();
  expectTypeOf(app.sendTask("test.known", [1])).resolves.toEqualTypeOf<AsyncResult<Date>>();
  expectTypeOf(app.sendTask("any.other", ["x", 1], { kwargs: { a: 1 }, queue: "q" })).resolves.toEqualTypeOf<
    AsyncResult<unknown>
  >();
  // @ts-expect-error wrong type for a known name
  void app.sendTask("test.known", ["1"]);
  const keyed =
    app.remote<(url: string, o: Kwargs<{ format: "png" | "jpg"; width?: number }>) => string>("p.resize");
  void keyed.delay("u", kw({ format: "png" }));
  // @ts-expect-error not one of the formats
  void keyed.delay("u", kw({ format: "gif" }));
  // @ts-expect-error unknown keyword
  void keyed.delay("u", kw({ format: "png", widht: 1 }));
});
declare module "petiole" {
  interface TaskRegistry {
    "test.known": (x: number, y?: string) => Date;
  }
}

test("results", async () => {
  const result = await app.task("a", (x: number) => x).delay(1);
  expectTypeOf(result).not.toHaveProperty("then"); // else `await` would unwrap it
  expectTypeOf(result.get({ timeout: 1 })).resolves.toEqualTypeOf<number>();
  expectTypeOf(result.get({ propagate: false })).resolves.toEqualTypeOf<number | Error>();
  const status = await result.status();
  if (!status.ready) expectTypeOf(status.info).toBeUnknown();
  else if (status.state === "SUCCESS") expectTypeOf(status.result).toEqualTypeOf<number>();
  else expectTypeOf(status.error.code).toBeString();
  const outcome = await result.outcome();
  if (outcome.state === "FAILURE") expectTypeOf(outcome.traceback).toEqualTypeOf<string | null>();
});

test("variance", () => {
  expectTypeOf<Task<[x: number | string], 1>>().toExtend<Task<[x: number], number>>();
  expectTypeOf<Task<[x: number], number>>().not.toExtend<Task<[x: number | string], number>>();
  expectTypeOf<Task<[x: number], number>>().toExtend<RemoteTask<[x: number], unknown>>();
  expectTypeOf<AsyncResult<1>>().toExtend<AsyncResult<number>>();
});

test("a task may return a handle", () => {
  const inner = app.task("inner", (x: number) => x);
  const outer = app.task("outer", async (x: number) => inner.delay(x));
  expectTypeOf(outer).toEqualTypeOf<Task<[x: number], AsyncResult<number>>>();
  // @ts-expect-error a handle as an argument
  app.task("a", (_handle: AsyncResult<number>) => 1);
});

test("options that come in may be undefined", () => {
  const queue = undefined as string | undefined;
  void app.task("a", { queue }, () => 1).applyAsync([], { queue, countdown: undefined });
});

test("an annotation is enough for isolatedDeclarations", () => {
  const add: Task<[x: number, y: number], number> = app.task("a", (x: number, y: number) => x + y);
  expectTypeOf(add.delay).parameters.toEqualTypeOf<[x: number, y: number]>();
});
