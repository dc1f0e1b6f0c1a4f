/** Waiting for results; start and stop. */
import { describe, expect, onTestFinished, test } from "vitest";
import type { ResultMeta } from "../../../src/protocol/wire.ts";
import { sameStore } from "../../../src/transports/transport.ts";
import { eventually } from "../../support/eventually.ts";
import { Inbox, toQueue } from "../inbox.ts";
import { type BackendSuite, failureOf, meta } from "./harness.ts";

export function watchingTests(suite: BackendSuite): void {
  describe("watch", () => {
    test("a result that is stored later is told within milliseconds", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      const delays: number[] = [];
      for (let i = 0; i < 20; i++) {
        const one = meta(suite.id());
        const heard = new Promise<ResultMeta>((resolve) => {
          const watch = client.watch(one.taskId, (found) => {
            watch.close();
            resolve(found);
          });
          void watch.ready.then(() => {
            delays[i] = performance.now();
            return suite.put(worker, one);
          });
        });
        expect(await heard).toEqual(one);
        delays[i] = performance.now() - (delays[i] ?? 0);
      }
      const median = delays.toSorted((a, b) => a - b)[10];
      expect(median).toBeLessThan(suite.store.polls ? 2000 : 100);
    });

    test("a reading after ready misses nothing", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      for (let i = 0; i < 50; i++) {
        const one = meta(suite.id());
        let told: ResultMeta | null = null;
        const stored = suite.put(worker, one);
        const watch = client.watch(one.taskId, (found) => {
          told = found;
        });
        await watch.ready;
        const read = await suite.getOne(client, one.taskId);
        await stored;
        if (read === null) await eventually("told", () => told !== null);
        expect(read ?? told).toEqual(one);
        watch.close();
      }
    });

    test("several watchers of one id all hear, one that closed does not", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      const taskId = suite.id();
      const seen: string[] = [];
      const hear = (who: string) => (one: ResultMeta) => void seen.push(`${who}:${one.status}`);
      const same = hear("c");
      const watches = [
        client.watch(taskId, hear("a")),
        client.watch(taskId, hear("b")),
        client.watch(taskId, same),
        client.watch(taskId, same),
      ];
      await Promise.all(watches.map((watch) => watch.ready));
      await suite.put(worker, meta(taskId, { status: "STARTED" }));
      await eventually("all heard", () => seen.length === 4);
      watches[0]?.close();
      watches[0]?.close();
      watches[3]?.close();
      await suite.put(worker, meta(taskId));
      await eventually("two heard", () => seen.length === 6);
      expect(seen.slice(4)).toEqual(["b:SUCCESS", "c:SUCCESS"]);
      for (const watch of watches) watch.close();
      await eventually("nobody listens", async () => (await suite.store.raw.listening()) === 0);
    });

    test("an id can be watched again after its watch was closed, in one turn too", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      const taskId = suite.id();
      let seen = 0;
      for (let i = 0; i < 5; i++) client.watch(taskId, () => {}).close();
      const watch = client.watch(taskId, () => {
        seen += 1;
      });
      await watch.ready;
      await suite.put(worker, meta(taskId));
      await eventually("heard", () => seen > 0);
      watch.close();
      expect(seen).toBe(1);
    });

    test("a watch whose callback throws disturbs nobody", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      const [a, b] = [suite.id(), suite.id()];
      const seen: string[] = [];
      const watches = [
        client.watch(a, () => {
          throw new Error("a user's mistake");
        }),
        client.watch(a, (one) => seen.push(one.taskId)),
        client.watch(b, (one) => seen.push(one.taskId)),
      ];
      await Promise.all(watches.map((watch) => watch.ready));
      await suite.put(worker, meta(a));
      await suite.put(worker, meta(b));
      await eventually("heard", () => seen.length > 1);
      expect(seen).toEqual([a, b]);
      for (const watch of watches) watch.close();
    });

    test("a result that settles with its message is told", async ({ skip }) => {
      const client = await suite.open();
      const transport = await suite.store.transport();
      await transport.start(new AbortController().signal);
      onTestFinished(() => transport.stop());
      if (suite.store.rows) return skip("no broker is in its store");
      expect(sameStore(transport.location, client.location)).toBe(true);
      await transport.publish([toQueue("finish", "m0")], null);
      const inbox = new Inbox(transport, ["finish"]);
      const [delivery] = await inbox.take(1);
      const one = meta(suite.id());
      const seen: ResultMeta[] = [];
      const watch = client.watch(one.taskId, (found) => seen.push(found));
      await watch.ready;
      const write = client.encode(one);
      expect(await inbox.settle(delivery!, { kind: "ack-with-result", write })).toBe("done");
      await eventually("heard", () => seen.length > 0);
      expect(seen[0]).toEqual(one);
      expect(await suite.getOne(client, one.taskId)).toEqual(one);
      watch.close();
    });

    test("20 000 waits, 4000 where each is a row, leave nothing behind", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      const total = suite.store.rows ? 4_000 : 20_000;
      const width = 2_000;
      let told = 0;
      for (let at = 0; at < total; at += width) {
        const metas = Array.from({ length: width }, () => meta(suite.id()));
        const watches = metas.map((one) =>
          client.watch(one.taskId, () => {
            told += 1;
          }),
        );
        await Promise.all(watches.map((watch) => watch.ready));
        const before = told;
        await Promise.all(metas.map((one) => suite.put(worker, one)));
        await eventually("all told", () => told - before >= width);
        for (const watch of watches) watch.close();
      }
      await eventually("nobody listens", async () => (await suite.store.raw.listening()) === 0);
      expect((client as { watched?: number }).watched ?? 0).toBe(0);
    });
  });
  describe("lifecycle", () => {
    test("stop may be called twice, together, and without a start", async () => {
      const never = await suite.create();
      await never.stop();
      await never.stop();
      const backend = await suite.open();
      await Promise.all([backend.stop(), backend.stop()]);
      expect((await failureOf(suite.put(backend, meta(suite.id())))).code).toBe("PET_CLOSED");
      expect((await failureOf(backend.get([suite.id()]))).code).toBe("PET_CLOSED");
      expect((await failureOf(backend.forget(suite.id()))).code).toBe("PET_CLOSED");
    });

    test("stop ends watches and settles their ready", async () => {
      const backend = await suite.open();
      const watch = backend.watch(suite.id(), () => {});
      await backend.stop();
      await watch.ready;
      watch.close();
      expect(await suite.store.raw.listening()).toBe(0);
    });

    test("a start that was aborted rejects", async () => {
      const backend = await suite.create();
      expect((await failureOf(backend.start(AbortSignal.abort()))).name).toMatch(/Error$/);
    });

    test("a store whose signal was aborted rejects and stores nothing", async () => {
      const backend = await suite.open();
      const one = meta(suite.id());
      await failureOf(backend.store(backend.encode(one), AbortSignal.abort()));
      expect(await suite.getOne(backend, one.taskId)).toBeNull();
    });

    test("the location is the same for all backends of a store", async () => {
      const [a, b] = [await suite.open(), await suite.open()];
      expect(a.location).toEqual(b.location);
      expect(sameStore(a.location, b.location)).toBe(!suite.store.rows);
      expect(a.enabled).toBe(true);
    });
  });
}
