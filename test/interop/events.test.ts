/** Events both ways: Python's monitors see our workers, ours see Python's, and workers of both kinds see each other. */
import { type AnyEvent, type EventState } from "petiole";
import { describe, expect, test } from "vitest";
import { built } from "../support/built.ts";
import { eventually } from "../support/eventually.ts";
import { startPythonProgram } from "../support/python.ts";
import { envelopesOf, vectorEntries } from "../support/vectors.ts";
import { type Fleet, withFleet } from "./harness.ts";

interface Told {
  readonly type: string;
  readonly [field: string]: unknown;
}

type Shape = Readonly<Record<string, string>>;

/** Keys in their order, and the kind of each value; numbers of Python by whether they have a fraction. */
function shapeOf(event: Readonly<Record<string, unknown>>): Shape {
  return Object.fromEntries(Object.entries(event).map(([key, value]) => [key, kindOf(value)]));
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  return Array.isArray(value) ? `[${value.map(kindOf).join()}]` : typeof value;
}

/** The shapes that Celery's workers were recorded with, by type. */
function recordedShapes(): ReadonlyMap<string, readonly Shape[]> {
  const shapes = new Map<string, Shape[]>();
  for (const file of ["events", "execution", "extra", "mingle_gossip", "worker_startup"]) {
    for (const entry of vectorEntries(file)) {
      for (const envelope of envelopesOf(entry, "PUBLISH")) {
        const { body, properties } = JSON.parse(envelope) as {
          body: string;
          properties: { delivery_info: { exchange: string } };
        };
        if (properties.delivery_info.exchange !== "celeryev") continue;
        const content = JSON.parse(Buffer.from(body, "base64").toString()) as Told | Told[];
        for (const event of [content].flat()) {
          shapes.set(event.type, [...(shapes.get(event.type) ?? []), shapeOf(event)]);
        }
      }
    }
  }
  return shapes;
}

/** Starts Python's Receiver and State in a thread of the client. */
async function listenInPython(fleet: Fleet): Promise<void> {
  await fleet.python.run(`
    import threading
    seen, state, ready = [], app.events.State(), threading.Event()
    def on_event(event):
        seen.append(dict(event))
        state.event(event)
    def listen():
        with app.connection() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": on_event})
            receiver.on_consume_ready = lambda *a, **k: ready.set()
            receiver.capture(limit=None, timeout=None, wakeup=False)
    threading.Thread(target=listen, daemon=True).start()
    ready.wait(10)
    time.sleep(0.5)
    celery.heard = (seen, state)
  `);
}

/** The events that Python's Receiver has heard. */
function heardInPython(fleet: Fleet): Promise<readonly Record<string, unknown>[]> {
  return fleet.python.value(`
    return json.loads(json.dumps(celery.heard[0], default=str))
  `);
}

/** One run of each way that a task can end; on workers of either kind. */
async function provoke({ app }: Fleet): Promise<Readonly<Record<string, string>>> {
  const ids: Record<string, string> = {};
  const send = async (key: string, task: string, args: unknown[], options = {}): Promise<void> => {
    ids[key] = (await app.sendTask(task, args, options)).id;
  };
  await send("success", "demo.add", [2, 3]);
  await send("failure", "demo.fail", ["broken"]);
  await send("retry", "demo.flaky", [1]);
  await send("expired", "demo.add", [1, 1], { expires: new Date(Date.now() - 60_000) });
  await send("rejected", "demo.reject", []);
  await send("custom", "demo.event", [0.5]);
  return ids;
}

const ENDS: readonly (readonly [key: string, type: string])[] = [
  ["success", "task-succeeded"],
  ["failure", "task-failed"],
  ["retry", "task-retried"],
  ["retry", "task-succeeded"],
  ["expired", "task-revoked"],
  ["rejected", "task-rejected"],
  ["custom", "task-custom"],
  ["custom", "task-succeeded"],
];

function hasAll(
  events: readonly Readonly<Record<string, unknown>>[],
  ids: Readonly<Record<string, string>>,
): boolean {
  return ENDS.every(([key, type]) => events.some((one) => one["type"] === type && one["uuid"] === ids[key]));
}

describe.concurrent("a worker of ours, seen from Python", () => {
  test(
    "every event that can be provoked reaches Python's Receiver in the shape Celery's have",
    withFleet({}, async (fleet) => {
      await listenInPython(fleet);
      const worker = await fleet.worker({ hostname: "ts@test", taskEvents: true, heartbeatInterval: 0.5 });
      const ids = await provoke(fleet);
      await eventually("all events", async () => {
        const heard = await heardInPython(fleet);
        return hasAll(heard, ids) && heard.some((one) => one["type"] === "worker-heartbeat");
      });
      await worker.stop();
      const events = await eventually("it says that it leaves", async () => {
        const heard = await heardInPython(fleet);
        return heard.some((one) => one["type"] === "worker-offline") && heard;
      });
      const recorded = recordedShapes();
      const types = new Set(events.map((one) => String(one["type"])));
      expect([...types].sort()).toEqual(
        [
          "task-custom",
          "task-failed",
          "task-received",
          "task-rejected",
          "task-retried",
          "task-revoked",
          "task-started",
          "task-succeeded",
          "worker-heartbeat",
          "worker-offline",
          "worker-online",
        ].sort(),
      );
      for (const { local_received: _, ...event } of events) {
        expect(recorded.get(String(event["type"]))).toContainEqual(shapeOf(event));
      }
      const failure = events.find((one) => one["type"] === "task-failed");
      expect(failure).toMatchObject({
        uuid: ids["failure"],
        exception: "ValueError('broken', 42)",
        hostname: "ts@test",
      });
      const state = await fleet.python.value<Record<string, unknown[]>>(
        `
      state = celery.heard[1]
      return {key: [state.tasks[id].state, state.tasks[id].name, state.tasks[id].args, state.tasks[id].result] for key, id in args.items()}
    `,
        { success: ids["success"], failure: ids["failure"], retry: ids["retry"] },
      );
      expect(state).toEqual({
        success: ["SUCCESS", "demo.add", "(2, 3)", "5"],
        failure: ["FAILURE", "demo.fail", "('broken',)", null],
        retry: ["SUCCESS", "demo.flaky", "(1,)", "1"],
      });
    }),
  );

  test(
    "celery events --dump prints them",
    withFleet({}, async (fleet) => {
      const dump = await startPythonProgram(["events", "--dump"], {
        broker: fleet.broker,
        backend: fleet.backend,
      });
      try {
        await eventually("it listens", async () => dump.output().includes("starting capture"), {
          timeoutMs: 20_000,
        });
        await fleet.worker({ hostname: "ts@test", taskEvents: true, heartbeatInterval: 0.5 });
        await eventually("it hears heartbeats", () => dump.output().includes("heartbeat:"));
        const ids = await provoke(fleet);
        const words = ["task received:", "task started:", "task succeeded:", "task failed:", "task retried:"];
        words.push("task revoked:", "task rejected:", "task custom:");
        await eventually("every type is printed", () => words.every((word) => dump.output().includes(word)));
        expect(dump.output()).toContain(`demo.add(${ids["success"]}) args=(2, 3) kwargs={}`);
        expect(dump.output()).toMatch(/sw_ident=petiole/);
        expect(dump.output()).not.toMatch(/evdump.*rror|Unrecoverable|Connection lost/);
      } finally {
        await dump.stop();
      }
    }),
  );

  test(
    "tells of nothing but itself until events of tasks are asked for",
    withFleet({}, async (fleet) => {
      await listenInPython(fleet);
      await fleet.worker({ hostname: "ts@test", heartbeatInterval: 0.2 });
      const result = await fleet.app.sendTask("demo.add", [2, 3] as never);
      expect(await result.get({ timeout: 10 })).toBe(5);
      await eventually("heartbeats", async () => (await heardInPython(fleet)).length > 3);
      expect((await heardInPython(fleet)).every((one) => String(one["type"]).startsWith("worker-"))).toBe(
        true,
      );
    }),
  );
});

test.concurrent(
  "task-sent of our client is what Celery's is",
  withFleet({ config: { task_send_sent_event: true } }, async (fleet) => {
    await listenInPython(fleet);
    const [one] = await Promise.all([
      fleet.app.sendTask("demo.add", [2, 3] as never),
      fleet.app.sendMany([fleet.app.remote<(x: number, y: number) => number>("demo.add").s(4, 5)]),
    ]);
    const events = await eventually("both", async () => {
      const heard = await heardInPython(fleet);
      return heard.length === 2 && heard;
    });
    for (const { local_received: _, ...event } of events) {
      expect(recordedShapes().get("task-sent")).toContainEqual(shapeOf(event));
    }
    expect(events.find((event) => event["uuid"] === one.id)).toMatchObject({
      type: "task-sent",
      name: "demo.add",
      args: "(2, 3)",
      kwargs: "{}",
      queue: "celery",
      exchange: "",
      routing_key: "celery",
      root_id: one.id,
      parent_id: null,
    });
  }),
);

/** Our Receiver and State, listening. */
async function listen({
  app,
}: Fleet): Promise<{ events: AnyEvent[]; state: EventState; stop: () => Promise<void> }> {
  const events: AnyEvent[] = [];
  const state = app.events.state();
  const receiver = app.events.receiver({
    handlers: {
      "*": (event) => {
        events.push(event);
        state.event(event);
      },
    },
  });
  await receiver.start();
  return { events, state, stop: () => receiver.close() };
}

test.concurrent.each(["python", "petiole"])("our Receiver and State show a worker: %s", (kind) =>
  withFleet({}, async (fleet) => {
    const { events, state, stop } = await listen(fleet);
    try {
      if (kind === "python") await fleet.pythonWorker({ name: "one@test", cluster: true, args: ["-E"] });
      else await fleet.worker({ hostname: "one@test", taskEvents: true });
      const ids = await provoke(fleet);
      await eventually("all events", () => hasAll(events as never, ids), { timeoutMs: 30_000 });
      expect(state.aliveWorkers().map((one) => one.hostname)).toEqual(["one@test"]);
      expect(state.workers.get("one@test")?.swIdent).toBe(kind === "python" ? "py-celery" : "petiole");
      const retried = (): string | undefined => state.tasks.get(ids["retry"] ?? "")?.state;
      await eventually("the retry has ended", () => retried() === "SUCCESS", { timeoutMs: 30_000 });
      const about = (key: string): unknown => {
        const task = state.tasks.get(ids[key] ?? "");
        return [task?.state, task?.name, task?.args, task?.worker];
      };
      expect(about("success")).toEqual(["SUCCESS", "demo.add", "(2, 3)", "one@test"]);
      expect(about("failure")).toEqual(["FAILURE", "demo.fail", "('broken',)", "one@test"]);
      expect(about("retry")).toEqual(["SUCCESS", "demo.flaky", "(1,)", "one@test"]);
      expect(state.tasks.get(ids["expired"] ?? "")?.state).toBe("REVOKED");
      expect(state.tasks.get(ids["success"] ?? "")).toMatchObject({ result: "5", retries: 0 });
      expect(state.tasksByType("demo.flaky").map((one) => one.uuid)).toEqual([ids["retry"]]);
      expect(state.tasksByWorker("one@test").length).toBe(6);
    } finally {
      await stop();
    }
  })(),
);

test.concurrent(
  "petiole events --dump prints what celery events --dump prints",
  withFleet({}, async (fleet) => {
    const { spawn } = await import("node:child_process");
    const theirs = await startPythonProgram(["events", "--dump"], {
      broker: fleet.broker,
      backend: fleet.backend,
    });
    const child = spawn(process.execPath, [built("cli/main.js"), "-b", fleet.broker, "events", "--dump"]);
    let ours = "";
    child.stdout.on("data", (chunk: Buffer) => (ours += chunk.toString()));
    try {
      await eventually("both listen", () => ours.includes("capture") && theirs.output().includes("capture"), {
        timeoutMs: 20_000,
      });
      await fleet.worker({ hostname: "ts@test", taskEvents: true, heartbeatInterval: 0.5 });
      await eventually(
        "both hear",
        () => ours.includes("heartbeat:") && theirs.output().includes("heartbeat:"),
      );
      await fleet.pythonWorker({ name: "py@test", cluster: true, args: ["-E"] });
      await provoke(fleet);
      await provoke(fleet);
      // The receivers' own clocks and times differ.
      const plain = (text: string): string[] =>
        text
          .split("\n")
          .filter((line) => / task /.test(line))
          .map((line) => line.replace(/ clock=\d+,| local_received=[\d.]+,/g, ""))
          .sort();
      await eventually("both have printed the same lines", () => {
        const [a, b] = [plain(ours), plain(theirs.output())];
        expect(a).toEqual(b);
        return a.length > 30;
      });
    } finally {
      child.kill("SIGINT");
      await theirs.stop();
    }
  }),
);

describe.concurrent("gossip with Python's workers", () => {
  const MINUTE = Number(process.env["PETIOLE_GOSSIP_SECONDS"] ?? 6);

  test(
    "each lists the other, and nobody complains",
    withFleet({}, async (fleet) => {
      await listenInPython(fleet);
      const ours = await fleet.cliWorker({ name: "ts@test", args: ["-E"] });
      const python = await fleet.pythonWorker({ name: "py@test", cluster: true, args: ["-E"] });
      const inside = await fleet.worker({ hostname: "in@test" });
      const joined: string[] = [];
      inside.nodes?.nodeJoin.connect((node) => joined.push(node.hostname));
      await eventually(
        "ours has heard of the others",
        () => joined.includes("py@test") || joined.length >= 2,
      );
      await new Promise((resolve) => setTimeout(resolve, MINUTE * 1000));
      const alive = await fleet.python.value<string[]>(
        "return sorted(one.hostname for one in celery.heard[1].alive_workers())",
      );
      expect(alive).toEqual(["in@test", "py@test", "ts@test"]);
      expect(python.log()).not.toMatch(/ERROR|WARNING\/|Traceback|missed heartbeat|Substantial drift/);
      expect(ours.log()).not.toMatch(/ERROR|WARN|missed heartbeat/);
      await python.stop();
      await ours.kill("SIGTERM");
      expect(python.log()).not.toMatch(/ERROR|Traceback/);
    }),
  );

  test(
    "an election that Python starts ends, though one of ours is in the cluster",
    withFleet({}, async (fleet) => {
      await fleet.worker({ hostname: "ts@test" });
      // Celery 5.6.3 counts acks, not candidates. A worker that has enough of them before it has heard of a second candidate
      // dies of that (IndexError in kombu's sort_heap), whoever sent the acks: then others are started.
      const isCelerysDeath = (log: string): boolean =>
        log.includes("in sort_heap") && log.includes("IndexError");
      for (let attempt = 1; ; attempt++) {
        const names = [`a${attempt}`, `b${attempt}`];
        const [a, b] = names.map((name) => `${name}@test`);
        const workers = await Promise.all(
          [a, b].map((name) =>
            fleet.pythonWorker({ name: name ?? "", cluster: true, pool: "solo", args: ["-l", "DEBUG"] }),
          ),
        );
        const logs = (): string[] => workers.map((worker) => worker.log());
        await eventually(
          "all know all",
          () =>
            logs().every((log, index) =>
              [names[1 - index], "ts"].every((name) => log.includes(`${name}@test joined the party`)),
            ),
          { timeoutMs: 20_000 },
        );
        await fleet.python.run(`
        app.control.broadcast(
            "election",
            destination=["${a}", "${b}"],
            arguments={"id": "${attempt}", "topic": "task", "action": record.s("elected", ${attempt})},
        )
      `);
        await eventually("both have decided, or died of it", () =>
          logs().every((log) => /I won the election|elected for/.test(log) || isCelerysDeath(log)),
        );
        if (logs().some(isCelerysDeath) && attempt < 8) {
          await Promise.all(workers.map((worker) => worker.kill()));
          continue;
        }
        const winners = logs().filter((log) => log.includes("I won the election"));
        expect(winners).toHaveLength(1);
        await eventually("the winner's task runs", async () => (await fleet.seen("elected")).length > 0);
        expect(logs().join("")).not.toMatch(/ERROR|CRITICAL|Traceback/);
        return;
      }
    }),
  );
});
