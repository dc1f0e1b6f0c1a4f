/** Against a model: revokes, time, checkpoints, crashes and purges in any order. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { StateDb } from "../../../src/statedb/state-db.ts";
import { seed } from "../../support/seed.ts";
import type { StateSuite } from "./harness.ts";

type Step =
  | { readonly kind: "revoke"; readonly ids: readonly number[]; readonly stamps: readonly number[] }
  | { readonly kind: "checkpoint"; readonly clock: number }
  | { readonly kind: "pass"; readonly seconds: number }
  | { readonly kind: "purge"; readonly seconds: number }
  | { readonly kind: "crash" }
  | { readonly kind: "reopen" }
  | { readonly kind: "load"; readonly max: number };

const few = fc.array(fc.nat(9), { maxLength: 4 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("revoke" as const), ids: few, stamps: few }) },
  fc.record({ kind: fc.constant("checkpoint" as const), clock: fc.nat(100) }),
  fc.record({ kind: fc.constant("pass" as const), seconds: fc.integer({ min: 100, max: 500 }) }),
  // Never the age of anything: a few real seconds may go by.
  fc.record({ kind: fc.constant("purge" as const), seconds: fc.constantFrom(50, 950) }),
  fc.record({ kind: fc.constant("crash" as const) }),
  fc.record({ kind: fc.constant("reopen" as const) }),
  fc.record({ kind: fc.constant("load" as const), max: fc.integer({ min: 1, max: 12 }) }),
);

/** When each was revoked last, by the model's time. */
class Model {
  now = 0;
  clock = 0;
  readonly ids = new Map<string, number>();
  readonly stamps = new Map<string, number>();
}

export function modelTests(suite: StateSuite): void {
  test("any history of revokes, crashes and purges", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const place = suite.place();
        const model = new Model();
        let db = await suite.open(place);
        for (const one of steps) db = await take(suite, { place, model, db, step: one });
        await suite.store.crash(db);
        const last = await suite.open(place);
        expect(await allOf(last)).toEqual(allOfModel(model));
        await last.stop();
      }),
      { seed, numRuns: 25 },
    );
  });
}

interface Taken {
  readonly place: string;
  readonly model: Model;
  readonly db: StateDb;
  readonly step: Step;
}

async function take(suite: StateSuite, { place, model, db, step: one }: Taken): Promise<StateDb> {
  switch (one.kind) {
    case "revoke": {
      const ids = one.ids.map((n) => `id-${n}`);
      const stamps = one.stamps.map((n) => `["h",${n}]`);
      await db.revoke({ ids, stamps });
      for (const id of ids) model.ids.set(id, model.now);
      for (const stamp of stamps) model.stamps.set(stamp, model.now);
      return db;
    }
    case "checkpoint": {
      model.clock = Math.max(model.clock, one.clock);
      const ids = new Map([...model.ids].map(([id, at]) => [id, model.now - at] as const));
      assert.equal(await db.checkpoint({ ids, clock: one.clock }), "done");
      return db;
    }
    case "pass":
      model.now += one.seconds;
      await suite.store.passes(one.seconds);
      return db;
    case "purge": {
      await db.purge({ olderThanSeconds: one.seconds, node: null });
      for (const set of [model.ids, model.stamps]) {
        for (const [member, at] of set) if (model.now - at >= one.seconds) set.delete(member);
      }
      return db;
    }
    case "crash":
      await suite.store.crash(db);
      return suite.open(place);
    case "reopen":
      await db.stop();
      return suite.open(place);
    case "load": {
      const { ids, complete } = await db.load(one.max);
      assert.equal(ids.size, Math.min(one.max, model.ids.size));
      assert.equal(complete, model.ids.size <= one.max && model.stamps.size <= one.max);
      const oldest = Math.min(...[...ids.keys()].map((id) => model.ids.get(id) ?? Number.NaN));
      for (const [id, at] of model.ids) if (!ids.has(id)) assert.ok(at <= oldest);
      return db;
    }
  }
}

async function allOf(db: StateDb): Promise<object> {
  const { ids, stamps, clock } = await db.load(1000);
  const asked = Array.from({ length: 10 }, (_, n) => `id-${n}`);
  const found = await db.lookUp({ ids: asked, stamps: [] });
  return {
    ids: [...ids.keys()].sort(),
    stamps: [...stamps.keys()].sort(),
    clock,
    found: [...found.ids].sort(),
  };
}

function allOfModel({ ids, stamps, clock }: Model): object {
  const all = [...ids.keys()].sort();
  return { ids: all, stamps: [...stamps.keys()].sort(), clock, found: all };
}
