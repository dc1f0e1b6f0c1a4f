import { beforeEach, expect, test } from "vitest";
import { RevokeQueue } from "../../../src/worker/revoke-queue.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { HandDb } from "../statedb/hand-db.ts";
import { NotingLogger } from "./support.ts";

let clock: VirtualClock;
let db: HandDb;
let logger: NotingLogger;
let queue: RevokeQueue;

beforeEach(() => {
  clock = new VirtualClock();
  db = new HandDb();
  logger = new NotingLogger();
  queue = new RevokeQueue({ db, clock, logger, max: 5 });
});

const ids = (...names: readonly string[]) => ({ ids: names, stamps: [] });
/** What is due by then has happened. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

test("a revoke is written at once; what comes meanwhile goes together with the next write", async () => {
  const release = db.hold();
  const first = queue.add(ids("a"));
  const others = [queue.add(ids("b")), queue.add({ ids: ["c"], stamps: ["s"] })];
  await turns();
  expect([db.calls, queue.size]).toEqual([["revoke a"], 4]);
  release();
  expect(await Promise.all([first, ...others])).toEqual(["written", "written", "written"]);
  expect([db.calls, queue.size]).toEqual([["revoke a", "revoke b,c,s"], 0]);
});

test("a reply does not wait longer than a moment for a store that does not answer; it is written all the same", async () => {
  const release = db.hold();
  const added = queue.add(ids("a"));
  await turns();
  clock.advance(500);
  expect([await added, queue.waiting().ids]).toEqual(["queued", ["a"]]);
  release();
  await turns();
  expect([queue.size, db.ids.has("a")]).toEqual([0, true]);
});

test("what was refused waits, and is tried again every second until it is written", async () => {
  db.away = true;
  expect(await queue.add(ids("a"))).toBe("queued");
  for (let attempt = 2; attempt <= 4; attempt += 1) {
    clock.advance(1_000);
    await turns();
    expect(db.calls).toHaveLength(attempt);
  }
  db.away = false;
  clock.advance(1_000);
  await turns();
  expect([queue.size, [...db.ids]]).toEqual([0, ["a"]]);
  clock.advance(60_000);
  await turns();
  expect(db.calls).toHaveLength(5);
});

test("one that is revoked again while it is written is in the store, and is waited for no more", async () => {
  const release = db.hold();
  const adding = [queue.add(ids("a")), queue.add(ids("a", "b"))];
  release();
  await Promise.all(adding);
  expect(queue.size).toBe(0);
  expect(new Set(db.calls.flatMap((call) => call.replace("revoke ", "").split(",")))).toEqual(
    new Set(["a", "b"]),
  );
});

test("no more wait than are kept: the oldest are dropped, and that is said once", async () => {
  db.away = true;
  await queue.add(ids("a", "b", "c", "d", "e", "f", "g"));
  expect(queue.waiting().ids).toEqual(["c", "d", "e", "f", "g"]);
  await queue.add(ids("h"));
  expect(logger.of("error")).toEqual([expect.stringMatching(/the oldest are dropped/)]);
});

test("closing writes what waits", async () => {
  db.away = true;
  await queue.add(ids("a"));
  db.away = false;
  await queue.close(new AbortController().signal);
  expect([queue.size, [...db.ids], logger.of("error")]).toEqual([0, ["a"], []]);
});

test("what cannot be written until the time is up is named as lost", async () => {
  db.away = true;
  await queue.add(ids("a", "b"));
  const end = new AbortController();
  const closing = queue.close(end.signal);
  await turns();
  clock.advance(500);
  await turns();
  end.abort();
  clock.advance(500);
  await closing;
  const [line] = logger.lines.filter(({ level }) => level === "error");
  expect([line?.message, line?.fields["ids"], line?.fields["count"]]).toEqual([
    expect.stringMatching(/they are lost/),
    ["a", "b"],
    2,
  ]);
  const calls = db.calls.length;
  clock.advance(60_000);
  await turns();
  expect(db.calls).toHaveLength(calls);
});
