/** Chords of Python clients whose backend does not count parts: they send a `celery.chord_unlock`, which our worker runs. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Fleet, startFleet } from "./harness.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet({ config: { result_chord_retry_interval: 0.05 } });
  await fleet.worker({ hostname: "ts@unlock", queues: ["ts"], concurrency: 4 });
});
afterAll(() => fleet?.stop());

/** As Celery's base backend does it. */
const SEND = `
def send(header, body):
    result = group([one.set(queue="ts") for one in header])()
    body = body.set(queue="ts")
    last = body.freeze()
    app.backend.fallback_chord_unlock(result, body, countdown=0)
    return last, result
`;

test("the body gets all results once the last is there", async () => {
  const id = await fleet.python.value(
    `${SEND}
last, _ = send([add.s(1, 1), hold.s("gate-unlock"), add.s(2, 2)], echo.s())
return last.id`,
  );
  const result = fleet.app.asyncResult(String(id));
  await fleet.waiting("gate-unlock");
  expect(await result.state()).toBe("PENDING");
  await fleet.open("gate-unlock");
  expect(await result.get({ timeout: 20 })).toEqual([2, "gate-unlock", 4]);
});

test("a part that fails fails the body, and what follows it; its errbacks hear of it once", async () => {
  const [first, last, failed] = await fleet.python.value<[string, string, string]>(
    `${SEND}
body = chain(echo.s().set(queue="ts").on_error(old_errback.s().set(queue="ts")), echo.s().set(queue="ts"))
last, header = send([add.s(1, 1), fail.s("no")], body)
return [last.parent.id, last.id, header.results[1].id]`,
  );
  for (const id of [last, first])
    expect(await fleet.app.asyncResult(id).outcome({ timeout: 20 })).toMatchObject({
      state: "FAILURE",
      error: { type: "ChordError", args: [`Dependency ${failed} raised ValueError('no', 42)`] },
    });
  const told = await eventually("the errback has run", async () => {
    const all = await fleet.seen("errback");
    return all.length > 0 ? all : undefined;
  });
  expect(told).toEqual([["ts", "old", first]]);
});
