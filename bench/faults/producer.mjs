/**
 * Sends without pause, with ids of its own, and writes each id that the broker has taken to stdout; ids whose sending
 * failed go to stderr with what is known of them. SIGTERM: no more, wait for the answers, end.
 */
import { Redis } from "ioredis";
import { random } from "./random.mjs";

const { app, work } = await import(process.env.FAULTS_TASKS);

const { FAULTS_RECORD, FAULTS_SEED, FAULTS_BACKLOG = "400", FAULTS_LONGEST_MS = "60" } = process.env;
const next = random(Number(FAULTS_SEED));
const record = new Redis(FAULTS_RECORD);
const IN_FLIGHT = 20;
const state = { running: true };
let sent = 0;
process.once("SIGTERM", () => {
  state.running = false;
});

/** Enough waits for every worker to hold something, not so much that a restored task waits long. */
async function room() {
  while (state.running && sent - (await record.hlen("ends")) > Number(FAULTS_BACKLOG)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function lane() {
  while (state.running) {
    await room();
    if (!state.running) return;
    const id = `t-${FAULTS_SEED}-${(sent += 1)}`;
    try {
      await work.applyAsync([id, Math.floor(next() * Number(FAULTS_LONGEST_MS))], { taskId: id });
      process.stdout.write(`${id}\n`);
    } catch (error) {
      process.stderr.write(`${id} ${error.outcome ?? "?"} ${error.message}\n`);
    }
  }
}

await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
await app.close();
record.disconnect();
