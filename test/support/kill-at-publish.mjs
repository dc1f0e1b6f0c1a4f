/**
 * Preloaded into a scheduler's process: after SIGUSR2 it dies of SIGKILL at its next publish of a run, `KILL_WHEN=before` it, or
 * `after` Redis has answered.
 */
import { RedisConnection } from "../../dist/redis/connection.js";

let armed = false;
process.on("SIGUSR2", () => {
  armed = true;
});

const { prototype } = RedisConnection;
const { value: script } = Object.getOwnPropertyDescriptor(prototype, "script");
prototype.script = async function (called, ...rest) {
  if (!armed || called.name !== "claimed publish") return script.call(this, called, ...rest);
  if (process.env.KILL_WHEN === "after") await script.call(this, called, ...rest);
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => {});
};
