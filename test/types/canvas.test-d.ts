import {
  type AnySignature,
  type AsyncResult,
  Celery,
  type ErrorCallback,
  type ImmutableSignature,
  isSignature,
  type RemoteError,
  type Signature,
  type SignatureData,
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
