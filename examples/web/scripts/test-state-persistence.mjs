// Revokes a task that waits for its time, restarts both workers, and sees that nobody runs it:
// node scripts/test-state-persistence.mjs http://127.0.0.1:8000 docker compose
import { execFileSync } from "node:child_process";

const [url = "http://127.0.0.1:8000", program = "docker", ...words] = process.argv.slice(2);
const compose = (...args) => execFileSync(program, [...words, ...args], { encoding: "utf8" });
const ETA_SECONDS = 60;
const PATTERN = "myapp:worker:state:*";

async function ask(path, method = "GET") {
  const response = await fetch(url + path, { method });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${answer.error}`);
  return answer;
}

const { task_id: id } = await ask(`/tasks/future/?eta=${ETA_SECONDS}`);
const due = Date.now() + ETA_SECONDS * 1000;
await ask(`/tasks/revoke/${id}/`, "POST");
console.log(`task ${id} is to run in ${ETA_SECONDS} s, and is revoked; the workers are restarted`);
compose("restart", "celery-worker-1", "celery-worker-2");
console.log(compose("exec", "-T", "redis", "redis-cli", "-n", "1", "KEYS", PATTERN).trim());
await new Promise((resolve) => setTimeout(resolve, due - Date.now() + 5000));
const { state } = await ask(`/tasks/status/${id}/`);
console.log(state === "REVOKED" ? "ok: its time is over, and nobody ran it" : `FAIL: it is ${state}`);
process.exitCode = state === "REVOKED" ? 0 : 1;
