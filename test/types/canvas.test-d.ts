import {
  type AnySignature,
  type AsyncResult,
  Celery,
  chain,
  chord,
  type ErrorCallback,
  type Group,
  type GroupResult,
  group,
  type ImmutableSignature,
  isSignature,
  type RemoteError,
  type ResultSet,
  type Signature,
  type SignatureData,
  type StampingVisitor,
  signatureFrom,
  type TaskRequest,
} from "petiole";
import { expectTypeOf, test } from "vitest";

const app = new Celery("t");
const add = app.task("add", (x: number, y: number) => x + y);
const inc = app.task("inc", (x: number, by = 1) => x + by);
const upper = app.task("upper", (text: string) => text.toUpperCase());
const show = app.task("show", (n: number, prefix: string) => prefix + n);
const all = app.task("all", (...numbers: number[]) => numbers.length);
const total = app.task("total", (numbers: number[], start = 0) => numbers.length + start);
const pairs = app.task("pairs", (p: [number, string], sep: string) => p.join(sep));
const nothing = app.task("nothing", async () => {});

test("partials: what is given goes to the end", () => {
  expectTypeOf(add.s()).toEqualTypeOf<Signature<[x: number, y: number], number>>();
  expectTypeOf(add.s(3)).toEqualTypeOf<Signature<[x: number], number>>();
  expectTypeOf(add.s(1, 2)).toEqualTypeOf<Signature<[], number>>();
  expectTypeOf(show.s("n=")).toEqualTypeOf<Signature<[n: number], string>>();
  expectTypeOf(add.si(1, 2)).toEqualTypeOf<ImmutableSignature<number>>();
  // @ts-expect-error "n=" would be the prefix
  show.s(1);
  // @ts-expect-error si needs all arguments
  add.si(1);
});

test("partials of optional and rest parameters", () => {
  expectTypeOf(inc.s()).toEqualTypeOf<Signature<[x: number, by?: number | undefined], number>>();
  void inc.s(3).delay();
  void inc.s(3).delay(1);
  void all.s(1, 2).delay();
  void all.s(1, 2).delay(3, 4);
  // @ts-expect-error more than it takes
  void inc.s(3, 4).delay(5);
});

test("a signature gives a handle of its result", () => {
  expectTypeOf(add.s(3).delay(1)).resolves.toEqualTypeOf<AsyncResult<number>>();
  expectTypeOf(add.s(3).applyAsync([1], { countdown: 2 })).resolves.toEqualTypeOf<AsyncResult<number>>();
  // @ts-expect-error x is missing
  void add.s(3).delay();
});

test("a wrong workflow in a group or a chord", () => {
  // @ts-expect-error the members need different arguments
  void group([inc.s(), upper.s()]).delay("a");
  // @ts-expect-error one number more than the body takes
  chord([add.s(1, 2), add.s(3, 4)], app.task("one", (results: [number]) => results[0]).s());
});

test("link and set keep the type", () => {
  const linked = add
    .s(1, 2)
    .set({ queue: "q" })
    .link(inc.s())
    .linkError(app.task("e", (id: string) => id).s());
  expectTypeOf(linked).toEqualTypeOf<Signature<[], number>>();
  // @ts-expect-error upper takes text
  add.s(1, 2).link(upper.s());
});

test("a clone needs what the signature needs, or has it", () => {
  expectTypeOf(add.s(3).clone()).toEqualTypeOf<Signature<[x: number], number>>();
  expectTypeOf(add.s(3).clone([1], { queue: "q" })).toEqualTypeOf<Signature<[], number>>();
  expectTypeOf(
    group([add.s(1), inc.s()])
      .clone([1])
      .delay(),
  ).resolves.toEqualTypeOf<GroupResult<[number, number]>>();
  expectTypeOf(add.s(1, 2).onError(app.errback("e4", () => {}).s())).toEqualTypeOf<Signature<[], number>>();
  // @ts-expect-error x is a number
  add.s(3).clone(["1"]);
  // @ts-expect-error an errback gets an id, no number
  add.s(1, 2).onError(inc.s());
});

test("errbacks of both styles fit", () => {
  const modern = app.errback("e2", (request, error, traceback) => {
    expectTypeOf(request).toEqualTypeOf<TaskRequest>();
    expectTypeOf(error).toEqualTypeOf<RemoteError>();
    expectTypeOf(traceback).toEqualTypeOf<string>();
  });
  add.s(1, 2).linkError(modern.s());
  const old: ErrorCallback = app.task("e3", (id: string) => id).s();
  void add.applyAsync([1, 2], { linkError: [modern.s(), old] });
  // @ts-expect-error an errback gets an id, no number
  add.s(1, 2).linkError(inc.s());
});

test("chain", () => {
  expectTypeOf(chain(add.s(1, 2), add.s(3), show.s("n="), upper.s())).toEqualTypeOf<Signature<[], string>>();
  expectTypeOf(chain(add.s(), inc.s())).toEqualTypeOf<Signature<[x: number, y: number], number>>();
  expectTypeOf(chain(add.s(1, 2), upper.si("a"), upper.s())).toEqualTypeOf<Signature<[], string>>();
  expectTypeOf(chain(add.s(1, 2)).delay()).resolves.toEqualTypeOf<AsyncResult<number>>();
  const steps = [inc.s(), inc.s()];
  expectTypeOf(chain(...steps)).toExtend<Signature<[x: number], number>>();
  void chain(nothing.s(), add.si(1, 2));
  // @ts-expect-error text into a number
  chain(upper.s("a"), inc.s());
  // @ts-expect-error null into a number
  chain(nothing.s(), inc.s());
  // @ts-expect-error the third step is wrong
  chain(add.s(1, 2), inc.s(), upper.s(), upper.s());
  // @ts-expect-error nowhere for 3 to go
  chain(add.s(1, 2), add.s(3, 4));
});

test("pipe is chain", () => {
  expectTypeOf(add.s(1, 2).pipe(inc.s()).pipe(show.s("n="))).toEqualTypeOf<Signature<[], string>>();
  expectTypeOf(add.s(3).pipe(inc.s())).toEqualTypeOf<Signature<[x: number], number>>();
  // @ts-expect-error
  add.s(1, 2).pipe(upper.s());
});

test("group", () => {
  expectTypeOf(group([add.s(1, 2), upper.s("a")])).toEqualTypeOf<Group<[], [number, string]>>();
  expectTypeOf(group([1, 2].map((n) => add.s(n, n)))).toEqualTypeOf<Group<[], number[]>>();
  expectTypeOf(group([add.s(1, 2), upper.s("a")]).delay()).resolves.toEqualTypeOf<
    GroupResult<[number, string]>
  >();
  expectTypeOf(group([inc.si(1), upper.si("a")])).toEqualTypeOf<Group<unknown[], [number, string]>>();
  void chain(add.s(1, 2), group([inc.s(), show.s("n="), upper.si("x")]), pairs.si([1, "a"], "-"));
  void chain(add.s(1, 2), group([inc.s()]), inc.s()); // a group of one is its member
  expectTypeOf(chain(add.s(1, 2), group([inc.s()]))).toEqualTypeOf<Signature<[], number>>();
  expectTypeOf(chain(group([add.s(1, 2)]))).toEqualTypeOf<Signature<[], number>>();
  expectTypeOf(chain(add.s(1, 2), group([inc.s(), inc.s()]))).toEqualTypeOf<
    Signature<[], [number, number]>
  >();
  // @ts-expect-error upper takes text
  chain(add.s(1, 2), group([inc.s(), upper.s()]));
});

test("group results", async () => {
  const result = await group([add.s(1, 2), upper.s("a")]).delay();
  expectTypeOf(result.get()).resolves.toEqualTypeOf<[number, string]>();
  expectTypeOf(result.results[1]).toEqualTypeOf<AsyncResult<string>>();
  for await (const { value } of result) expectTypeOf(value).toEqualTypeOf<number | string>();
});

test("joined results", async () => {
  const result = await group([add.s(1, 2), upper.s("a")]).delay();
  expectTypeOf(result.join()).resolves.toEqualTypeOf<[number, string]>();
  expectTypeOf(result.joinNative({ timeout: 1, propagate: false })).resolves.toEqualTypeOf<
    [number | Error, string | Error]
  >();
  const told = result.join({
    callback: (id, value) =>
      expectTypeOf([id, value] as const).toEqualTypeOf<readonly [string, number | string]>(),
  });
  expectTypeOf(told).resolves.toBeVoid();
  void result.join({
    propagate: false,
    callback: (_, value) => expectTypeOf(value).toEqualTypeOf<number | string | Error>(),
  });
});

test("a set of results", async () => {
  const set = app.resultSet([await add.delay(1, 2), await inc.delay(1)]);
  expectTypeOf(set).toEqualTypeOf<ResultSet<number>>();
  expectTypeOf(set.get()).resolves.toEqualTypeOf<number[]>();
  expectTypeOf(set.join({ propagate: false })).resolves.toEqualTypeOf<(number | Error)[]>();
  for await (const { value } of set) expectTypeOf(value).toBeNumber();
  set.update((await group([add.s(1, 2), inc.s(1)]).delay()).results);
  // @ts-expect-error text among the numbers
  set.add(await upper.delay("a"));
  app.resultSet<number | string>().add(await upper.delay("a"));
});

test("chord", () => {
  expectTypeOf(chord([add.s(1, 2), add.s(3, 4)], total.s())).toEqualTypeOf<Signature<[], number>>();
  expectTypeOf(chord([add.s(1, 2), upper.s("a")], pairs.s("-"))).toEqualTypeOf<Signature<[], string>>();
  expectTypeOf(
    chord(
      [1, 2].map((n) => add.s(n, n)),
      total.s(10),
    ),
  ).toEqualTypeOf<Signature<[], number>>();
  expectTypeOf(group([add.s(1, 2), add.s(3, 4)]).pipe(total.s())).toEqualTypeOf<Signature<[], number>>();
  expectTypeOf(chain(group([add.s(1, 2), upper.s("a")]), pairs.s(" "), upper.s())).toEqualTypeOf<
    Signature<[], string>
  >();
  expectTypeOf(chord([add.s(1), inc.s()], total.s())).toExtend<Signature<[number], number>>();
  void chord([nothing.s()], upper.si("done"));
  // @ts-expect-error text among the numbers
  chord([add.s(1, 2), upper.s("a")], total.s());
});

test("nested", () => {
  const inner = chord([add.s(1, 2), inc.s(1)], total.s());
  const outer = group([inner, chain(add.s(1, 2), inc.s()), group([upper.s("a"), add.s(1, 1)])]);
  expectTypeOf(outer).toEqualTypeOf<Group<[], [number, number, string, number]>>();
  expectTypeOf(chain(inner, inc.s(), group([show.s("a"), show.s("b")]))).toEqualTypeOf<
    Signature<[], [string, string]>
  >();
});

test("map, starmap, chunks", () => {
  expectTypeOf(upper.map(["a", "b"])).toEqualTypeOf<ImmutableSignature<string[]>>();
  expectTypeOf(
    add.starmap([
      [1, 2],
      [3, 4],
    ]),
  ).toEqualTypeOf<ImmutableSignature<number[]>>();
  expectTypeOf(
    add.chunks(
      [
        [1, 2],
        [3, 4],
      ],
      10,
    ),
  ).toEqualTypeOf<Group<unknown[], number[][]>>();
  expectTypeOf(inc.map([1, 2])).toEqualTypeOf<ImmutableSignature<number[]>>();
  // @ts-expect-error two parameters
  add.map([1]);
});

test("from JSON", () => {
  expectTypeOf(app.signatureFrom({} as SignatureData)).toEqualTypeOf<AnySignature>();
  expectTypeOf(signatureFrom({} as SignatureData)).toEqualTypeOf<AnySignature>();
  expectTypeOf(add.s().toJSON()).toEqualTypeOf<SignatureData>();
  const value = {} as unknown;
  if (isSignature(value)) expectTypeOf(value.task).toBeString();
});

test("many at once", () => {
  expectTypeOf(add.delayMany([[1, 2]])).resolves.toEqualTypeOf<readonly AsyncResult<number>[]>();
  void app.sendMany([add.s(1, 2), upper.s("a"), add.si(1, 2)]);
  // @ts-expect-error not complete
  void app.sendMany([add.s(1)]);
  // @ts-expect-error text
  void add.delayMany([[1, "2"]]);
});

test("variance", () => {
  expectTypeOf<Signature<[x: unknown], 1>>().toExtend<Signature<[x: number], number>>();
  expectTypeOf<Signature<[], number>>().not.toExtend<Signature<[x: number], number>>();
  expectTypeOf<ImmutableSignature<number>>().toExtend<Signature<[x: string], number>>();
});

test("stamps", () => {
  const visitor: StampingVisitor = {
    onSignature: (one, headers) => ({ task: one.task, ...headers }),
    onGroupStart: (one) => ({ members: one.tasks.length, stampedHeaders: ["members"] }),
    onGroupEnd: () => {},
  };
  expectTypeOf(add.s(1).stamp(visitor, { appendStamps: true, stamps: { a: 1 } })).toEqualTypeOf(add.s(1));
  expectTypeOf(group([add.s(1, 2)]).stamp({ a: [1] })).toEqualTypeOf(group([add.s(1, 2)]));
  // @ts-expect-error a visitor gives stamps
  add.s(1).stamp({ onSignature: () => "a", onGroupStart: () => 1 } satisfies StampingVisitor);
  // @ts-expect-error of stamps there is one kind
  add.s(1).stamp({ a: 1 }, { stamps: { b: 2 } });
});
