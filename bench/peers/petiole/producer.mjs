import { produce } from "../../lib/produce.mjs";
import { now } from "../../lib/stamps.mjs";
import { app, first, late, noop } from "./tasks.mjs";

await produce({
  noop: (i) => noop.delay(now(), i),
  many: (from, count) => noop.delayMany(Array.from({ length: count }, (_, i) => [now(), from + i])),
  stamp: (at) => late.delay(at),
  first: () => first.delay(now()),
  close: () => app.close(),
});
