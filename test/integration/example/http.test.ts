/** The example application over HTTP, as a visitor of it. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { postgresPrograms } from "../../support/postgres.ts";
import {
  type Example,
  failedStart,
  petioleIn,
  type Running,
  STACKS,
  type Stack,
  startExample,
  startStack,
} from "./running-example.ts";

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;

const tooLarge = new FormData();
tooLarge.set("file", new Blob([new Uint8Array(1024 * 1024 + 1)]), "large.bin");
const noFile = new FormData();
noFile.set("file", "text");

/** What is asked, the code of the answer, and the field that it names. */
const WRONG: readonly (readonly [
  method: "GET" | "POST" | "PUT",
  path: string,
  code: number,
  field: string,
  body?: unknown,
])[] = [
  ...["add", "multiply"].flatMap((task) =>
    [
      "",
      "&x=",
      "&x=ten",
      "&x=-1",
      "&x=1.5",
      "&x=1e3",
      "&x=1000001",
      "&x=99999999999999999999",
      "&x=Infinity",
      "&x=1&x=2",
    ].map((given) => ["GET", `/tasks/${task}/?y=1${given}`, 400, "x"] as const),
  ),
  ["GET", "/tasks/add/?x=1", 400, "y"],
  ["GET", "/tasks/chain/?x=-5", 400, "x"],
  ["GET", "/tasks/long/?duration=0", 400, "duration"],
  ["GET", "/tasks/long/?duration=3601", 400, "duration"],
  ["GET", "/tasks/future/?eta=-1", 400, "eta"],
  ["GET", "/tasks/future/?eta=soon", 400, "eta"],
  ["GET", "/tasks/status/abc/", 400, "task_id"],
  ["GET", `/tasks/status/${randomUUID()}/`, 404, "task_id"],
  ["GET", `/api/task/${randomUUID()}/status`, 404, "task_id"],
  ["POST", `/tasks/revoke/${randomUUID()}/`, 404, "task_id"],
  ["GET", `/tasks/revoke/${randomUUID()}/`, 405, "method"],
  ["POST", "/tasks/add/?x=1&y=2", 405, "method"],
  ["PUT", "/users/", 405, "method"],
  ["GET", "/api/start_task", 405, "method"],
  ["GET", "/tasks/nothing/", 404, "path"],
  ["POST", "/api/start_task", 400, "duration", { duration: "10" }],
  ["POST", "/api/start_task", 400, "duration", { duration: -1 }],
  ["POST", "/api/start_task", 400, "durations", { durations: 1 }],
  ["POST", "/api/start_task", 400, "body", []],
  ["POST", "/users/", 400, "email", { name: "Ada" }],
  ["POST", "/users/", 400, "email", { name: "Ada", email: "nobody" }],
  ["POST", "/users/", 400, "name", { name: "", email: "a@example.com" }],
  ["POST", "/users/", 400, "name", { name: "a\u0000b", email: "a@example.com" }],
  ["POST", "/users/", 400, "name", { name: { $gt: "" }, email: "a@example.com" }],
  ["POST", "/users/", 400, "body"],
  ["POST", "/instances/", 400, "name", {}],
  ["POST", "/instances/one/process/", 400, "id"],
  ["POST", "/instances/99999999999/process/", 400, "id"],
  ["POST", "/uploads/", 415, "file"],
  ["POST", "/uploads/", 400, "file", noFile],
  ["POST", "/uploads/", 413, "file", tooLarge],
];

describe.each(STACKS)("on %s", (name) => {
  let stack: Stack;
  let example: Example;
  let worker: Running;

  beforeAll(async () => {
    stack = await startStack(name);
    example = await startExample(stack.env);
    worker = await example.startWorker("worker1@%h");
  });

  afterAll(async () => {
    await example?.stop();
    await stack?.stop();
  });

  test.each([
    ["/tasks/hello/", { status: "Task triggered" }, "Hello World!"],
    ["/tasks/add/?x=10&y=20", { status: "Task triggered", x: 10, y: 20 }, 30],
    ["/tasks/multiply/?x=5&y=6", { status: "Task triggered", x: 5, y: 6 }, 30],
    ["/tasks/multiply?x=5&y=6", { status: "Task triggered", x: 5, y: 6 }, 30],
    ["/tasks/chain/?x=5", { status: "Chain triggered", x: 5 }, 30],
    ["/tasks/future/?eta=1", { status: "Future task triggered", eta: 1 }, "Hello World!"],
    ["/tasks/long/?duration=1", { status: "Long task triggered", duration: 1 }, "Completed after 1 seconds"],
  ])("GET %s sends a task that a worker runs", async (path, answer, result) => {
    const { status, body } = await example.get(path);
    expect([status, body]).toEqual([200, { task_id: expect.stringMatching(UUID), ...answer }]);
    expect(await example.ended(body["task_id"])).toEqual({
      task_id: body["task_id"],
      state: "SUCCESS",
      ready: true,
      successful: true,
      failed: false,
      result,
      info: result,
    });
  });

  test("a long task tells how far it is, and stops when it is revoked", async () => {
    const { body } = await example.get("/tasks/long/?duration=30");
    const id = String(body["task_id"]);
    const progress = await eventually("it tells its progress", async () => {
      const { body: status } = await example.get(`/tasks/status/${id}/`);
      return status["state"] === "PROGRESS" && status;
    });
    expect(progress).toEqual({
      task_id: id,
      state: "PROGRESS",
      ready: false,
      successful: null,
      failed: null,
      info: { current: expect.any(Number), total: 30 },
    });
    expect(await example.post(`/tasks/revoke/${id}/`)).toEqual({
      status: 200,
      body: { task_id: id, status: "Task revoked" },
    });
    expect(await example.ended(id)).toMatchObject({ state: "REVOKED", successful: false, failed: false });
  });

  test("POST /api/start_task and GET /api/task/<id>/status", async () => {
    const { status, body } = await example.post("/api/start_task", { duration: 1 });
    expect([status, body]).toEqual([202, { task_id: expect.stringMatching(UUID), status: "submitted" }]);
    const id = String(body["task_id"]);
    await example.ended(id);
    expect(await example.get(`/api/task/${id}/status`)).toEqual({
      status: 200,
      body: { task_id: id, status: "SUCCESS", result: "Completed after 1 seconds" },
    });
    expect((await example.post("/api/start_task")).body["status"]).toBe("submitted");
  });

  // On Redis: persistence.test.ts.
  test.skipIf(name === "redis")("a revoke outlives a worker that is killed", async () => {
    const { body } = await example.get("/tasks/future/?eta=3");
    const id = String(body["task_id"]);
    expect((await example.post(`/tasks/revoke/${id}/`)).status).toBe(200);
    await worker.stop("SIGKILL");
    worker = await example.startWorker("worker1@%h");
    await eventually("the next one says so", () =>
      worker.log().includes(`Discarding revoked task: web.hello[${id}]`),
    );
    expect((await example.ended(id))["state"]).toBe("REVOKED");
  });

  test("the debug task prints its request into the worker's log", async () => {
    const { body } = await example.get("/tasks/debug/");
    const id = String(body["task_id"]);
    const line = `web.debug_task[${id}]: Request`;
    expect(await eventually("the log has it", () => worker.log().includes(line))).toBe(true);
  });

  test("/tasks/list/ has what was sent, the newest first, and the tasks that there are", async () => {
    const { body: sent } = await example.get("/tasks/add/?x=1&y=1");
    const { body } = await example.get("/tasks/list/");
    const [newest] = body["tasks"] as Record<string, unknown>[];
    expect(newest).toEqual({ task_id: sent["task_id"], task: "web.add", submitted_at: expect.any(String) });
    expect(body["registered"]).toContain("web.long_running_task");
  });

  describe("rows", () => {
    test("a new user is stored, and gets one e-mail", async () => {
      const user = { name: "Ada", email: "ada@example.com" };
      const { status, body } = await example.post("/users/", user);
      expect([status, body]).toEqual([201, { id: 1, ...user, task_id: expect.stringMatching(UUID) }]);
      expect((await example.ended(body["task_id"]))["result"]).toBe("Sent to ada@example.com");
      const sent = (await sentTasks()).length;
      expect(await example.post("/users/", user)).toMatchObject({ status: 409, body: { field: "email" } });
      expect(await sentTasks()).toHaveLength(sent);
    });

    test("a task loads a row by its id, and marks it", async () => {
      const { body: row } = await example.post("/instances/", { name: "first" });
      const id = Number(row["id"]);
      const done = await example.post(`/instances/${id}/process/`);
      expect((await example.ended(done.body["task_id"]))["result"]).toBe(`Processed instance ${id}`);
      const none = await example.post("/instances/999/process/");
      expect((await example.ended(none.body["task_id"]))["result"]).toBe("Instance 999 not found.");
    });

    test("an uploaded file is stored, then hashed by a task", async () => {
      const form = new FormData();
      form.set("file", new Blob(["hello\n"]), "hello.txt");
      const { status, body } = await example.post("/uploads/", form);
      expect([status, body]).toEqual([
        202,
        { id: 1, filename: "hello.txt", bytes: 6, task_id: expect.stringMatching(UUID) },
      ]);
      expect((await example.ended(body["task_id"]))["result"]).toEqual({
        filename: "hello.txt",
        bytes: 6,
        sha256: "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
      });
    });
  });

  async function sentTasks(): Promise<readonly unknown[]> {
    return (await example.get("/tasks/list/")).body["tasks"] as unknown[];
  }

  test("bad input gets a 4xx that names the field, and sends nothing", async () => {
    const sent = await sentTasks();
    for (const [method, path, code, field, body] of WRONG) {
      const answer = method === "POST" ? await example.post(path, body) : await put(method, path);
      expect([path, answer.status, answer.body["field"]]).toEqual([path, code, field]);
      expect(answer.body["error"]).toEqual(expect.any(String));
    }
    const response = await fetch(`${example.url}/users/`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{",
    });
    expect([response.status, await response.json()]).toEqual([
      400,
      expect.objectContaining({ field: "body" }),
    ]);
    expect(await sentTasks()).toEqual(sent);
    const queues = petioleIn(example, "list", "queues", "--json") as { messages: number }[];
    expect(queues.filter(({ messages }) => messages > 0)).toEqual([]);
  });

  async function put(
    method: string,
    path: string,
  ): Promise<{ status: number; body: Record<string, unknown> }> {
    const response = await fetch(example.url + path, { method });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }

  test("it says whether it is alive and ready", async () => {
    expect((await example.get("/livez")).status).toBe(200);
    expect(await example.get("/readyz")).toEqual({ status: 200, body: { status: "ok" } });
  });

  // The last ones: PostgreSQL stays stopped.
  describe.skipIf(name === "sqlite")("without its servers", () => {
    const away = (part: string) => ({
      status: 503,
      body: { error: `the ${part} does not answer, try again`, field: null },
    });

    test.skipIf(postgresPrograms() === null)("a database that does not exist is told at the start", () => {
      const [code, said] = failedStart({ DATABASE_URL: `${stack.postgres?.url}-none` });
      expect([code, said]).toEqual([
        1,
        `cannot connect to ${stack.postgres?.url}-none: database "postgres-none" does not exist. Create that database, or set DATABASE_URL to another one`,
      ]);
    });

    test("a broker that is away: 503, and nothing is noted as sent", async () => {
      const sent = await sentTasks();
      await stack.redis?.kill();
      for (const path of ["/tasks/add/?x=1&y=2", "/tasks/chain/?x=1"]) {
        expect(await example.get(path)).toEqual(away("broker"));
      }
      expect(await sentTasks()).toEqual(sent);
      const { status, body } = await example.get("/readyz");
      expect([status, body["unreachable"]]).toEqual([503, expect.arrayContaining(["broker"])]);
      await stack.redis?.restart();
      await eventually("it is ready again", async () => (await example.get("/readyz")).status === 200);
    });

    test.skipIf(postgresPrograms() === null)(
      "a database that is away: 503, and nothing is queued",
      async () => {
        await stack.postgres?.stop();
        const before = worker.log();
        for (const path of ["/tasks/add/?x=1&y=2", "/tasks/chain/?x=1", "/tasks/list/"]) {
          expect(await example.get(path)).toEqual(away("database"));
        }
        const user = { name: "Eve", email: "eve@example.com" };
        expect(await example.post("/users/", user)).toEqual(away("database"));
        expect((await example.get("/livez")).status).toBe(200);
        const notReady = { status: "not ready", unreachable: ["database"] };
        expect(await example.get("/readyz")).toEqual({ status: 503, body: notReady });
        const queues = petioleIn(example, "list", "queues", "--json") as { messages: number }[];
        expect(queues.filter(({ messages }) => messages > 0)).toEqual([]);
        expect(worker.log().slice(before.length)).not.toContain("received");
      },
    );
  });
});
