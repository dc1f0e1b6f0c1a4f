/** A durable store that goes away: cut connections, restarts. */
import { describe, expect, test } from "vitest";
import { encodeMeta } from "../../../src/protocol/meta.ts";
import type { ResultMeta } from "../../../src/protocol/wire.ts";
import { eventually } from "../../support/eventually.ts";
import { type BackendSuite, failureOf, meta, PREFIX } from "./harness.ts";

export function outageTests(suite: BackendSuite): void {
  describe("a store that goes away", () => {
    test("a watch whose connection is cut hears what is stored then, and what was stored meanwhile", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      const [a, b] = [meta(suite.id()), meta(suite.id())];
      const seen: string[] = [];
      const watches = [a, b].map((one) => client.watch(one.taskId, (found) => seen.push(found.taskId)));
      await Promise.all(watches.map((watch) => watch.ready));
      await suite.store.cutWatchers?.();
      await suite.put(worker, a);
      await eventually("the first is told", () => seen.includes(a.taskId));
      await suite.put(worker, b);
      await eventually("the second is told", () => seen.includes(b.taskId));
      expect(new Set(seen)).toEqual(new Set([a.taskId, b.taskId]));
      for (const watch of watches) watch.close();
      await eventually("nobody listens", async () => (await suite.store.raw.listening()) === 0);
    });

    test("what nobody told of is found by the slow poll", async () => {
      const client = await suite.open();
      const one = meta(suite.id());
      const seen: ResultMeta[] = [];
      const watch = client.watch(one.taskId, (found) => seen.push(found));
      await watch.ready;
      await suite.store.raw.set(PREFIX + one.taskId, encodeMeta(one));
      await eventually("found", () => seen.length > 0, { timeoutMs: 4_000 });
      expect(seen).toEqual([one]);
      watch.close();
    });

    test("text that cannot be read does not end a watch", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      const one = meta(suite.id());
      const seen: ResultMeta[] = [];
      const watch = client.watch(one.taskId, (found) => seen.push(found));
      await watch.ready;
      await suite.store.raw.set(PREFIX + one.taskId, "not a result");
      await suite.store.cutWatchers?.();
      // Another id shows that a poll has gone by.
      const other = meta(suite.id());
      const otherWatch = client.watch(other.taskId, (found) => seen.push(found));
      await suite.store.raw.set(PREFIX + other.taskId, encodeMeta(other));
      await eventually("the other was found", () => seen.length > 0);
      await suite.put(worker, one);
      await eventually("told", () => seen.length > 1);
      expect(seen).toEqual([other, one]);
      watch.close();
      otherWatch.close();
    });

    test("a restart: stores wait for it, gets and watches survive it", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      const [before, during, after] = [meta(suite.id()), meta(suite.id()), meta(suite.id())];
      await suite.put(worker, before);
      const seen: string[] = [];
      const watches = [during, after].map((one) =>
        client.watch(one.taskId, (found) => seen.push(found.taskId)),
      );
      await Promise.all(watches.map((watch) => watch.ready));
      await suite.store.crash?.();
      const abort = new AbortController();
      const given = meta(suite.id());
      const givenUp = failureOf(worker.store(worker.encode(given), abort.signal));
      const stored = suite.put(worker, during);
      const readDuring = suite.getOne(client, before.taskId);
      abort.abort();
      expect((await givenUp).name).toBe("BackendError");
      await suite.store.restart?.();
      await stored;
      expect(await readDuring).toEqual(before);
      await eventually("told", () => seen.includes(during.taskId));
      await suite.put(worker, after);
      await eventually("told again", () => seen.includes(after.taskId));
      expect(await suite.getOne(client, given.taskId)).toBeNull();
      for (const watch of watches) watch.close();
    });

    test("a watch that is opened while the store is down stands after it is back", async () => {
      const [worker, client] = [await suite.open(), await suite.open()];
      await suite.store.crash?.();
      const one = meta(suite.id());
      const seen: string[] = [];
      const watch = client.watch(one.taskId, (found) => seen.push(found.taskId));
      let ready = false;
      void watch.ready.then(() => {
        ready = true;
      });
      await suite.store.restart?.();
      await watch.ready;
      expect(ready).toBe(true);
      await suite.put(worker, one);
      await eventually("told", () => seen.length > 0);
      watch.close();
    });

    test("a store gives up after the attempts that were set", async () => {
      const backend = await suite.open({ retry: { maxRetries: 3, baseMs: 1, capMs: 5 } });
      const one = backend.encode(meta(suite.id()));
      await suite.store.crash?.();
      const failure = await failureOf(backend.store(one, null));
      expect([failure.name, failure.code]).toEqual(["BackendError", "PET_BACKEND"]);
      await suite.store.restart?.();
    });
  });
}
