import type { Kwargs } from "petiole";
import { Celery, chain, chord, group, kw } from "petiole";
import { z } from "zod";

const app = new Celery("shop");
const add = app.task("shop.add", (x: number, y: number) => x + y);
const upper = app.task("shop.upper", (text: string) => text.toUpperCase());
const total = app.task("shop.total", (numbers: number[]) => numbers.length);
const order = app.task(
  "shop.order",
  { input: z.object({ id: z.string(), n: z.number() }) },
  async ({ id }) => id,
);
const resize =
  app.remote<(url: string, o: Kwargs<{ width: number; height?: number }>) => string>("images.resize");
declare module "petiole" {
  interface TaskRegistry {
    "py.mul": (x: number, y: number) => number;
  }
}
async function all() {
  /*M1 wrong argument type*/
  await add.delay(1, "2");
  /*M2 missing argument*/
  await add.delay(1);
  /*M3 calling the task*/
  add(1, 2);
  /*M4 applyAsync arguments*/
  await add.applyAsync([1], { countdown: 3 });
  /*M5 unknown option*/
  await add.applyAsync([1, 2], { countDown: 3 });
  /*M9 signature not complete*/
  await add.s(3).delay();
  /*M10 partial of wrong type*/
  add.s("3");
  /*M13 schema input*/
  await order.delay({ id: 3, n: 1 });
  /*M14 Map argument*/
  app.task("bad", (m: Map<string, number>) => m.size);
  /*M15 function inside the result*/
  app.task("bad", async (x: number) => ({ data: { when: new Date(), done: () => x } }));
  /*M16 bigint*/
  app.task("bad", (n: bigint) => String(n));
  /*M17 no annotation*/
  app.task("bad", (x) => x);
  /*M18 option typo*/
  app.task("bad", { ackLate: true }, (x: number) => x);
  /*M19 forgot bind*/
  app.task("bad", { maxRetries: 3 }, async (task, x: number) => {
    throw task.retry();
  });
  /*M20 output mismatch*/
  app.task(
    "bad",
    { input: z.object({ id: z.string() }), output: z.object({ n: z.number() }) },
    async ({ id }) => ({ n: id }),
  );
  /*M21 input not an object*/
  app.task("bad", { input: z.string() }, async (s) => s);
  /*M22 setting typo*/
  new Celery("shop", { taskSerialiser: "json" });
  /*M23 registry argument*/
  await app.sendTask("py.mul", [1, "2"]);
  /*M24 kwargs typo*/
  await resize.delay("u", kw({ width: 1, heigth: 2 }));
  /*M25 kwargs without kw*/
  await resize.delay("u", { width: 1 });
  /*M26 link wrong*/
  add.s(1, 2).link(upper.s());
  /*M27 forgot to get*/
  const n: number = await add.delay(1, 2);
  void n;
  /*M31 status without narrowing*/
  (await add.asyncResult("x").status()).result;
  /*M40 a bad setting when it is assigned*/
  app.conf.taskSerialiser = "json";
  /*M41 bind in a widened variable*/
  const shared = { bind: true };
  app.task("bad", shared, (task, x: number) => x);
  /*M42 a handle has no then*/
  (await add.delay(1, 2)).then(() => {});
  /*M43 many calls, one of them wrong*/
  await add.delayMany([[1, 2], [1]]);
  /*M44 errback of neither style*/
  add.s(1, 2).linkError(upper.s("x"));
  /*M50 chain: a number into a text*/
  chain(add.s(1, 2), upper.s(), upper.s());
  /*M51 chain: nothing is left open*/
  chain(add.s(1, 2), add.s(3, 4));
  /*M52 chain: two are left open*/
  chain(add.s(1, 2), add.s());
  /*M53 pipe: a number into a text*/
  add.s(1, 2).pipe(upper.s());
  /*M54 chord: a text among the numbers*/
  chord([add.s(1, 2), upper.s("a")], total.s());
  /*M55 chord: the body takes one number*/
  chord([add.s(1, 2), add.s(3, 4)], add.s(1));
  /*M56 group into a task that takes no list*/
  chain(group([add.s(1, 2), add.s(3, 4)]), upper.s());
  /*M57 group: a member takes what comes before not*/
  chain(add.s(1, 2), group([add.s(1), upper.s()]));
  /*M58 group without the list*/
  group(add.s(1, 2), add.s(3, 4));
  /*M59 a task instead of its signature*/
  chain(add.s(1, 2), upper);
  /*M60 starmap: a list that is too short*/
  add.starmap([[1, 2], [3]]);
  /*M61 delay of what needs an argument*/
  await chain(add.s(3), add.s(4)).delay();
}
void all;
