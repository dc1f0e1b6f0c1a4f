import { describe, expect, test } from "vitest";
import type { DecodedTask } from "../../../src/protocol/wire.ts";
import { type Environment, Revoked, stampKey } from "../../../src/worker/revoked.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";

const task = (id: string, stamps: Record<string, unknown> = {}): DecodedTask =>
  ({ id, stamps, stampedHeaders: Object.keys(stamps) }) as unknown as DecodedTask;

function make(env: Environment = {}): { readonly revoked: Revoked; readonly clock: VirtualClock } {
  const clock = new VirtualClock();
  return { revoked: new Revoked({ clock, env }), clock };
}

describe("what is revoked", () => {
  test("nothing, until something is", () => {
    const { revoked } = make();
    expect([revoked.active, revoked.covers(task("a", { tenant: "x" }))]).toEqual([false, false]);
    revoked.ids.add("a");
    expect([revoked.active, revoked.covers(task("a")), revoked.covers(task("b"))]).toEqual([
      true,
      true,
      false,
    ]);
  });

  test("stamps match by header and value, one of several is enough", () => {
    const { revoked } = make();
    revoked.addAll({ ids: [], stamps: [stampKey("tenant", "acme")] });
    revoked.addAll({ ids: [], stamps: [stampKey("batch", 7)] });
    const covered = [
      { tenant: "acme" },
      { tenant: ["other", "acme"] },
      { batch: 7 },
      { batch: "7" },
      { other: "acme" },
      {},
    ].map((stamps) => revoked.covers(task("a", stamps)));
    expect(covered).toEqual([true, true, true, false, false, false]);
  });

  test("a stamped header without a value, or with an inherited one, is none", () => {
    const { revoked } = make();
    revoked.addAll({ ids: [], stamps: [stampKey("toString", "x")] });
    const odd = { id: "a", stamps: {}, stampedHeaders: ["toString", "tenant"] } as unknown as DecodedTask;
    expect(revoked.covers(odd)).toBe(false);
  });
});

describe("the environment has Celery's names", () => {
  test("for how many, and for how long", () => {
    const { revoked, clock } = make({ CELERY_WORKER_REVOKES_MAX: "2", CELERY_WORKER_REVOKE_EXPIRES: "1.5" });
    for (const id of ["a", "b", "c"]) revoked.ids.add(id);
    expect(
      revoked.ids
        .entries()
        .map(([id]) => id)
        .toSorted(),
    ).toEqual(["b", "c"]);
    clock.advance(1_500);
    expect(revoked.covers(task("c"))).toBe(false);
  });

  test.each([{}, { CELERY_WORKER_REVOKE_EXPIRES: "" }, { CELERY_WORKER_REVOKE_EXPIRES: "soon" }])(
    "%j: three hours",
    (env) => {
      const { revoked, clock } = make(env);
      revoked.ids.add("a");
      clock.advance(10_799_000);
      expect(revoked.covers(task("a"))).toBe(true);
      clock.advance(1_000);
      expect(revoked.covers(task("a"))).toBe(false);
    },
  );
});
