/** A state DB in an SQLite file: workers of one host, and clients, share it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Celery } from "petiole";
import { Worker, type WorkerOptions } from "petiole/worker";
import { afterEach, beforeEach, expect, test } from "vitest";
import { silentLogger } from "../../src/base/logger.ts";
import { eventually } from "../support/eventually.ts";
import { LogKeeper } from "../support/redis-transport.ts";

let dir: string;
let url: string;
let ran: string[];
let opened: (() => Promise<unknown>)[];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "statedb-sqlite-"));
  url = `sqlite://${join(dir, "shop.db")}`;
  ran = [];
  opened = [];
});
afterEach(async () => {
  for (const close of opened.toReversed()) await close();
  rmSync(dir, { recursive: true, force: true });
});

function makeApp(logger = silentLogger): Celery {
  const app = new Celery("shop", { brokerUrl: url, resultBackend: url, workerStateDb: url, logger });
  app.task("s.note", { bind: true }, (task) => void ran.push(task.request.id));
  opened.push(() => app.close());
  return app;
}

async function start(options: WorkerOptions = {}, logger = silentLogger): Promise<Worker> {
  const worker = new Worker(makeApp(logger), { hostname: "w1@host", ...options });
  opened.push(() => worker.stop({ how: "cold" }));
  await worker.start();
  return worker;
}

test("what was revoked while all workers were down never runs, and is REVOKED", async () => {
  const app = makeApp();
  const sent = await Promise.all(Array.from({ length: 20 }, () => app.sendTask("s.note", [])));
  await app.control.revoke(sent.slice(1).map(({ id }) => id));
  expect(await app.asyncResult(sent[19]?.id ?? "").state()).toBe("REVOKED");
  await Promise.all([start(), start({ hostname: "w2@host" })]);
  await sent[0]?.get({ timeout: 10 });
  await eventually("all are REVOKED", async () => {
    const states = await Promise.all(sent.slice(1).map(({ id }) => app.asyncResult(id).state()));
    return states.every((state) => state === "REVOKED");
  });
  expect(ran).toEqual([sent[0]?.id]);
});

test("a worker that runs hears of it through the file, and forgets what is purged", async () => {
  const worker = await start();
  const { openStateDb } = await import("../../src/statedb/index.ts");
  const { systemClock } = await import("../../src/base/clock.ts");
  const prefix = "celery:worker:state:";
  const options = { url, node: null, prefix, ttlSeconds: null, shared: true, clientName: null };
  const db = await openStateDb({ ...options, clock: systemClock, logger: silentLogger });
  opened.push(() => db.stop());
  const app = makeApp();
  const known = async (): Promise<readonly string[]> => {
    const { "w1@host": ids = [] } = await app.control.inspect({ timeout: 5, limit: 1 }).revoked();
    return ids;
  };
  await db.revoke({ ids: ["a"], stamps: [] });
  await eventually("it has heard", async () => (await known()).includes("a"));
  expect(await db.purge({ olderThanSeconds: 0, node: null })).toBe(1);
  await eventually("it has forgotten", async () => (await known()).length === 0);
  await expect(db.forget("w1@host", { merge: true })).rejects.toThrow(/a worker named w1@host runs/);
  await app.control.revoke("b", { reply: true, limit: 1, timeout: 5 });
  await worker.stop();
  expect(await db.forget("w1@host", { merge: true })).toMatchObject({ found: true });
  const { nodes, shared } = await db.overview();
  expect([nodes, shared]).toEqual([[], { ids: 1, stamps: 0 }]);
  await start({ hostname: "other@host" });
  const { "other@host": ids } = await app.control.inspect({ timeout: 5, limit: 1 }).revoked();
  expect(ids).toEqual(["b"]);
});

test("two workers of one name both say so", async () => {
  const [first, second] = [new LogKeeper(), new LogKeeper()];
  const isSaid = (log: LogKeeper) => log.lines.some(({ message }) => /same node name/.test(message));
  await start({}, first);
  await start({}, second);
  await eventually("both say so", () => isSaid(first) && isSaid(second));
  expect([first, second].map(isSaid)).toEqual([true, true]);
});

test("a file that cannot be is refused at the start, with what to do", async () => {
  const worker = new Worker(makeApp(), { hostname: "w1@host", statedb: "sqlite:///dev/null/x.db" });
  opened.push(() => worker.stop({ how: "cold" }));
  await expect(worker.start()).rejects.toThrow(/the state DB .*cannot be (?:used|made)/);
});
