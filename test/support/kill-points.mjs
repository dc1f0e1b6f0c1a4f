/**
 * Preloaded into a worker's process: it dies of SIGKILL at one call to Redis. `KILL_AT` is
 * `<script or command>:<before|after>:<nth call>`; after = Redis has answered, and nothing came of it.
 */
import { RedisConnection } from "../../dist/redis/connection.js";

const [name, when, nth] = (process.env.KILL_AT ?? "").split(":");
let calls = 0;

function watched(original, nameOf) {
  return async function (...args) {
    if (nameOf(args[0]) !== name) return original.apply(this, args);
    calls += 1;
    if (calls < Number(nth)) return original.apply(this, args);
    if (calls > Number(nth)) return new Promise(() => {});
    if (when === "after") await original.apply(this, args);
    process.kill(process.pid, "SIGKILL");
    return new Promise(() => {});
  };
}

const { prototype } = RedisConnection;
const { command: commands, script: scripts } = Object.getOwnPropertyDescriptors(prototype);
prototype.command = watched(commands.value, (command) => command);
prototype.script = watched(scripts.value, (script) => script.name);
