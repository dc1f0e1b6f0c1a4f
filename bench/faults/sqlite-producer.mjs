/** Sends without pause and writes each id that was taken to stdout, at once: it is killed at any moment. */
import { writeSync } from "node:fs";
import { random } from "./random.mjs";
import { work } from "./sqlite-tasks.mjs";

const { FAULTS_SEED, FAULTS_NUMBER } = process.env;
const next = random(Number(FAULTS_SEED) + Number(FAULTS_NUMBER));
for (let n = 1; ; n += 1) {
  const id = `t-${FAULTS_NUMBER}-${n}`;
  const options = { taskId: id, ...(n % 10 === 0 ? { countdown: next() * 2 } : {}) };
  await work.applyAsync([id, Math.floor(next() * 60)], options);
  writeSync(1, `${id}\n`);
  await new Promise((resolve) => setTimeout(resolve, next() * 8));
}
