/** `node producer.mjs <tasks> <seconds>`: sends so many tasks for so far ahead; 0 seconds: without an ETA. */
import { app, noop } from "./tasks.mjs";

const [count, countdown] = process.argv.slice(2).map(Number);
const PIECE = 2000;
for (let from = 0; from < count; from += PIECE) {
  const piece = Array.from({ length: Math.min(PIECE, count - from) }, (_, i) =>
    countdown > 0 ? noop.s(from + i).set({ countdown }) : noop.s(from + i),
  );
  await app.sendMany(piece);
}
await app.close();
console.log(JSON.stringify({ count }));
