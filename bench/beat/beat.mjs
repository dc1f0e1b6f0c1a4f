/** The scheduler of run.mjs. It says in Redis when it leads. */
import { Redis } from "ioredis";
import { Beat } from "../../dist/beat/index.js";
import { Celery, crontab } from "../../dist/index.js";

const { BEAT_BROKER: brokerUrl, BEAT_FILE: schedule, BEAT_ENTRIES, BEAT_ORIGIN } = process.env;
const zones = Intl.supportedValuesOf("timeZone")
  .filter((_, at) => at % 20 === 0)
  .slice(0, 20);
const quiet = {
  trace() {},
  debug() {},
  info() {},
  warn: console.warn,
  error: console.error,
  fatal: console.error,
};
const app = new Celery("bench", { brokerUrl, logger: quiet });
const originMs = Number(BEAT_ORIGIN);
const options = { queue: "ticks" };

const beatSchedule = {};
for (let at = 0; at < Number(BEAT_ENTRIES); at += 1) {
  const startMs = originMs + ((at * 61) % 600_000);
  beatSchedule[`entry ${at}`] =
    at % 2 === 0
      ? {
          task: "bench.tick",
          schedule: 600,
          startTime: new Date(startMs),
          args: ["interval", startMs],
          options,
        }
      : {
          task: "bench.tick",
          schedule: crontab({ minute: (at >> 1) % 60, timezone: zones[at % zones.length] }),
          args: ["crontab", 0],
          options,
        };
}
app.conf.update({ beatSchedule });
await new Beat(app, { schedule }).start();
const client = new Redis(brokerUrl);
await client.set("beat-leads", "1");
client.disconnect();
