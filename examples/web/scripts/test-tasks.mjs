// Sends a task of each kind to a running service, and compares what came of it: node scripts/test-tasks.mjs http://127.0.0.1:8000
const [url = "http://127.0.0.1:8000"] = process.argv.slice(2);
const WAIT_MS = 30_000;

async function ask(path, method = "GET") {
  const response = await fetch(url + path, { method });
  const answer = await response.json();
  if (!response.ok) throw new Error(`${method} ${path}: ${answer.error}`);
  return answer;
}

async function ended(id) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const status = await ask(`/tasks/status/${id}/`);
    if (status.ready || Date.now() > deadline) return status;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const checks = [
  ["/tasks/hello/", "Hello World!"],
  ["/tasks/add/?x=10&y=20", 30],
  ["/tasks/multiply/?x=5&y=6", 30],
  ["/tasks/chain/?x=5", 30],
  ["/tasks/future/?eta=2", "Hello World!"],
  ["/tasks/long/?duration=2", "Completed after 2 seconds"],
];

let failed = 0;
function report(what, got, wanted) {
  const good = got === wanted;
  if (!good) failed += 1;
  console.log(`${good ? "ok  " : "FAIL"}  ${what} -> ${got}${good ? "" : `, not ${wanted}`}`);
}

for (const [path, wanted] of checks) {
  const { task_id: id } = await ask(path);
  const { result, state } = await ended(id);
  report(path, result ?? state, wanted);
}
const { task_id: id } = await ask("/tasks/long/?duration=60");
await ask(`/tasks/revoke/${id}/`, "POST");
report("a long task, revoked", (await ended(id)).state, "REVOKED");
process.exitCode = failed === 0 ? 0 : 1;
