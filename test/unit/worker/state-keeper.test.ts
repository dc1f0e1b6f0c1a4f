import { beforeEach, describe, expect, test } from "vitest";
import { LamportClock } from "../../../src/base/lamport-clock.ts";
import { ImproperlyConfigured } from "../../../src/errors.ts";
import type { DecodedTask } from "../../../src/protocol/wire.ts";
import { Revoked } from "../../../src/worker/revoked.ts";
import { StateKeeper } from "../../../src/worker/state-keeper.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { HandDb, snapshot } from "../statedb/hand-db.ts";
import { NotingLogger } from "./support.ts";

const CHECKPOINT_MS = 30_000;
const never = new AbortController().signal;

let clock: VirtualClock;
let db: HandDb;
let revoked: Revoked;
let lamport: LamportClock;
let logger: NotingLogger;
let keeper: StateKeeper;

beforeEach(() => {
  clock = new VirtualClock();
  db = new HandDb();
  revoked = new Revoked({ clock, env: { CELERY_WORKER_REVOKES_MAX: "3" } });
  lamport = new LamportClock();
  logger = new NotingLogger();
  make("warn");
});

function make(policy: "warn" | "fail"): void {
  keeper = new StateKeeper({ db, revoked, clock, lamport, logger, policy });
}

/** What is due by then has happened. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 40; turn += 1) await Promise.resolve();
}

async function pass(ms: number): Promise<void> {
  await turns();
  clock.advance(ms);
  await turns();
}

/** Only what a look at the state needs. */
function call(id: string, stamp: string | null = null): DecodedTask {
  const stamps = stamp === null ? {} : { tenant: stamp };
  return { id, task: "t", stamps, stampedHeaders: Object.keys(stamps) } as unknown as DecodedTask;
}

const check = (id: string, stamp: string | null = null): Promise<boolean> =>
  keeper.check(call(id, stamp), never);

describe("loading", () => {
  test("ends with memory that knows all: a task is looked at there alone", async () => {
    db.snapshot = { ...snapshot("a"), stamps: new Map([['["tenant","x"]', 5]]), clock: 41 };
    await keeper.start(never);
    expect([keeper.state, revoked.doubt, lamport.value]).toEqual(["sure", null, 42]);
    expect([await check("a"), await check("b"), await check("b", "x")]).toEqual([true, false, true]);
    expect(db.calls).toEqual(["start", "load 3"]);
  });

  test("a task is looked up in the meantime, those of one turn together", async () => {
    db.ids.add("a");
    const release = db.hold();
    const starting = keeper.start(never);
    await turns();
    expect([keeper.state, revoked.doubt]).toEqual(["loading", keeper]);
    const looks = [check("a"), check("b"), check("c", "x")];
    await turns();
    expect(db.calls).toEqual(["start", 'look up a,b,c,["tenant","x"]']);
    release();
    expect(await Promise.all(looks)).toEqual([true, false, false]);
    await starting;
  });

  test("what others revoke during it is not lost by an answer that lacks it", async () => {
    await keeper.start(never);
    const release = db.hold();
    db.follower?.onGap();
    await turns();
    db.follower?.onChange({ ids: ["late"], stamps: ['["tenant","x"]'] });
    release();
    await turns();
    expect([keeper.state, await check("late"), await check("b", "x")]).toEqual(["sure", true, true]);
  });

  test("a gap during it makes it begin anew", async () => {
    await keeper.start(never);
    const release = db.hold();
    db.follower?.onGap();
    await turns();
    db.follower?.onGap();
    db.snapshot = snapshot("a");
    release();
    await turns();
    expect(db.calls.filter((one) => one.startsWith("load"))).toHaveLength(3);
    expect([keeper.state, await check("a")]).toEqual(["sure", true]);
  });

  test("that fails though the store is there is tried again", async () => {
    await keeper.start(never);
    db.away = true;
    db.follower?.onGap();
    await turns();
    expect(keeper.state).toBe("loading");
    db.away = false;
    await pass(1_000);
    expect(keeper.state).toBe("sure");
  });
});

describe("partial", () => {
  test("where the store has more than memory holds a task is looked up", async () => {
    db.snapshot = { ...snapshot("b", "c"), complete: false };
    db.ids.add("a").add("b").add("c");
    await keeper.start(never);
    expect([keeper.state, revoked.doubt]).toEqual(["partial", keeper]);
    expect([await check("a"), await check("d")]).toEqual([true, false]);
    expect(revoked.ids.has("a")).toBe(false);
  });

  test("memory that has no room for one more is partial", async () => {
    db.snapshot = snapshot("a", "b", "c");
    await keeper.start(never);
    expect(keeper.state).toBe("sure");
    db.follower?.onChange({ ids: ["d"], stamps: [] });
    expect(keeper.state).toBe("partial");
    db.ids.add("a");
    expect(await check("a")).toBe(true);
  });
});

describe("away", () => {
  beforeEach(async () => {
    db.snapshot = snapshot("a");
    await keeper.start(never);
    db.away = true;
    db.follower?.onAway();
  });

  test("revokes are queued, and written before the state is loaded again", async () => {
    expect(await keeper.record({ ids: ["b"], stamps: [] })).toBe("queued");
    revoked.addAll({ ids: ["b"], stamps: [] });
    expect(keeper.queued).toBe(1);
    db.away = false;
    db.calls.length = 0;
    db.snapshot = snapshot("a", "b");
    db.follower?.onGap();
    await turns();
    expect(db.calls).toEqual(["revoke b", "load 3"]);
    expect([keeper.state, keeper.queued, await check("b")]).toEqual(["sure", 0, true]);
  });

  test("with the policy warn what memory does not know starts, and the log says so", async () => {
    expect([keeper.state, await check("a"), await check("b")]).toEqual(["away", true, false]);
    expect(logger.of("warn")).toContain(
      "tasks start though it is not known whether they are revoked: the state DB is away",
    );
  });

  test("with the policy fail it waits until the store is there, or the worker stops", async () => {
    await keeper.stop();
    db.away = false;
    make("fail");
    await keeper.start(never);
    db.away = true;
    db.follower?.onAway();
    const stopping = new AbortController();
    const ends: string[] = [];
    const waits = [
      keeper.check(call("b"), never).then((is) => ends.push(`b ${is}`)),
      keeper.check(call("c"), never).then((is) => ends.push(`c ${is}`)),
      keeper.check(call("d"), stopping.signal).then((is) => ends.push(`d ${is}`)),
    ];
    await pass(5_000);
    expect(ends).toEqual([]);
    stopping.abort();
    await turns();
    expect(ends).toEqual(["d false"]);
    db.away = false;
    db.snapshot = snapshot("a", "b");
    db.follower?.onGap();
    await Promise.all(waits);
    expect(new Set(ends)).toEqual(new Set(["d false", "b true", "c false"]));
  });

  test("no checkpoint is written: it would be of a state that is not known", async () => {
    await pass(CHECKPOINT_MS);
    expect(db.calls).not.toContain("checkpoint");
  });
});

describe("the start", () => {
  async function starting(): Promise<unknown> {
    const started = keeper.start(never).then(
      () => "started",
      (error: unknown) => error,
    );
    for (let attempt = 0; attempt < 4; attempt += 1) await pass(1_000);
    return started;
  }

  test("tries three times; with the policy warn it goes on without, and takes the state in later", async () => {
    db.away = true;
    expect(await starting()).toBe("started");
    expect(db.calls.filter((one) => one === "start")).toHaveLength(3);
    expect(keeper.state).toBe("away");
    db.away = false;
    db.snapshot = { ...snapshot("a"), clock: 9 };
    db.follower?.onGap();
    await turns();
    expect([keeper.state, await check("a"), lamport.value]).toEqual(["sure", true, 10]);
  });

  test("with the policy fail it fails, and names the store", async () => {
    make("fail");
    db.away = true;
    expect(await starting()).toMatchObject({
      message: expect.stringMatching(/state DB hand: cannot be used/),
    });
  });

  test("what no further attempt can mend ends it at once, whatever the policy", async () => {
    db.start = () => Promise.reject(new ImproperlyConfigured("in use by another"));
    expect(await starting()).toMatchObject({ message: "in use by another" });
  });
});

describe("checkpoints", () => {
  test("every half minute: ids when something has changed, the clock always", async () => {
    db.snapshot = snapshot("a");
    await keeper.start(never);
    await pass(CHECKPOINT_MS);
    await pass(CHECKPOINT_MS);
    db.follower?.onChange({ ids: ["b"], stamps: [] });
    await pass(CHECKPOINT_MS);
    expect(db.checkpoints.map(({ ids }) => ids)).toEqual([["a"], null, ["a", "b"]]);
    expect(db.checkpoints.map((one) => one.clock)).toEqual([1, 2, 3]);
  });

  test("hold no ids that the store's sets lack: what waits is written first", async () => {
    await keeper.start(never);
    await pass(CHECKPOINT_MS);
    revoked.addAll({ ids: ["b"], stamps: [] });
    db.away = true;
    await keeper.record({ ids: ["b"], stamps: [] });
    db.calls.length = 0;
    await pass(CHECKPOINT_MS);
    expect(db.checkpoints.at(-1)?.ids).not.toEqual(["b"]);
    db.away = false;
    await pass(CHECKPOINT_MS);
    expect(db.ids.has("b")).toBe(true);
    await pass(CHECKPOINT_MS);
    expect(db.checkpoints.at(-1)?.ids ?? db.checkpoints.at(-2)?.ids).toEqual(["b"]);
  });

  test("one that failed is written again with its ids", async () => {
    db.snapshot = snapshot("a");
    await keeper.start(never);
    db.away = true;
    await pass(CHECKPOINT_MS);
    db.away = false;
    await pass(CHECKPOINT_MS);
    expect(db.checkpoints.map(({ ids }) => ids)).toEqual([["a"]]);
  });

  test("a worker whose name another has says so once", async () => {
    await keeper.start(never);
    db.fenced = true;
    await pass(CHECKPOINT_MS);
    await pass(CHECKPOINT_MS);
    expect(logger.of("error")).toEqual([expect.stringMatching(/writes no checkpoints any more/)]);
  });
});

describe("the end", () => {
  test("writes what waits, a last checkpoint, and lets go; nothing is in doubt afterwards", async () => {
    await keeper.start(never);
    db.away = true;
    revoked.addAll({ ids: ["b"], stamps: [] });
    await keeper.record({ ids: ["b"], stamps: [] });
    db.away = false;
    db.calls.length = 0;
    await keeper.stop();
    await keeper.stop();
    expect(db.calls).toEqual(["revoke b", "checkpoint", "stop"]);
    expect([db.checkpoints.at(-1)?.ids, revoked.doubt]).toEqual([["b"], null]);
    db.follower?.onGap();
    await pass(CHECKPOINT_MS);
    expect(db.calls).toHaveLength(3);
  });

  test("before anything was loaded writes no checkpoint: it would be an empty one", async () => {
    db.away = true;
    const starting = keeper.start(never);
    for (let attempt = 0; attempt < 4; attempt += 1) await pass(1_000);
    await starting;
    db.away = false;
    await keeper.stop();
    expect([db.checkpoints, db.calls.at(-1)]).toEqual([[], "stop"]);
  });

  test("does not wait for ever for a store that is away", async () => {
    await keeper.start(never);
    db.away = true;
    db.follower?.onAway();
    await keeper.record({ ids: ["b"], stamps: [] });
    const stopping = keeper.stop();
    for (let second = 0; second < 6; second += 1) await pass(1_000);
    await stopping;
    expect(logger.of("error")).toEqual([expect.stringMatching(/they are lost/)]);
  });
});

test("another worker of the same name is told to people", async () => {
  await keeper.start(never);
  db.follower?.onRival("host process 7");
  expect(logger.lines.at(-1)).toMatchObject({ level: "error", fields: { rival: "host process 7" } });
});
