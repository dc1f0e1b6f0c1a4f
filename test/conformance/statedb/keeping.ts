/** What was revoked stays revoked. */
import { expect, test } from "vitest";
import { ids, type StateSuite, stamps } from "./harness.ts";

const MANY = 1_000_000;

export function keepingTests(suite: StateSuite): void {
  test("a new store holds nothing", async () => {
    const db = await suite.open(suite.place());
    const { ids: found, stamps: stamped, clock, complete } = await db.load(MANY);
    expect([found.size, stamped.size, clock, complete]).toEqual([0, 0, 0, true]);
    expect(await db.lookUp({ ids: ["a"], stamps: ['["h","v"]'] })).toEqual({ ids: [], stamps: [] });
  });

  test("a revoke that was acknowledged outlives its process", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    await db.revoke({ ids: ["a", "b"], stamps: ['["tenant","x"]'] });
    await suite.store.crash(db);
    const again = await suite.open(place);
    const { ids: found, stamps: stamped, complete } = await again.load(MANY);
    expect([...found.keys()].sort()).toEqual(["a", "b"]);
    expect([...stamped.keys()]).toEqual(['["tenant","x"]']);
    expect(complete).toBe(true);
  });

  test("and a restart of its store", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    await db.revoke(ids("a"));
    await db.stop();
    await suite.store.restart();
    const again = await suite.open(place);
    expect([...(await again.load(MANY)).ids.keys()]).toEqual(["a"]);
  });

  test("members may be any text; ids and stamps are told apart", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    const odd = ['"quoted"', "line\nfeed", "ä😀", "{}", "a".repeat(1024), '["tenant","x"]', "back\\slash"];
    const values = ['["tenant",1]', '["tenant","1"]', '["tenant",null]', '["ä",{"a":[1,2.5]}]'];
    await db.revoke({ ids: odd, stamps: values });
    await suite.store.crash(db);
    const again = await suite.open(place);
    const { ids: found, stamps: stamped } = await again.load(MANY);
    expect([...found.keys()].sort()).toEqual([...odd].sort());
    expect([...stamped.keys()].sort()).toEqual([...values].sort());
    expect(await again.lookUp({ ids: [...odd, "other"], stamps: [...values, '["tenant",2]'] })).toEqual({
      ids: expect.arrayContaining(odd),
      stamps: expect.arrayContaining(values),
    });
    expect((await again.lookUp(ids('["tenant",1]'))).ids).toEqual([]);
    expect((await again.lookUp(stamps("ä😀"))).stamps).toEqual([]);
  });

  test("the oldest come first, with their ages; a second revoke makes one new", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    await db.revoke(ids("a", "b"));
    await suite.store.passes(1000);
    await db.revoke(ids("c"));
    await suite.store.passes(500);
    await db.revoke(ids("b"));
    await suite.store.passes(10);
    const { ids: found } = await (await suite.reopened(db, place)).load(MANY);
    expect([...found.keys()]).toEqual(["a", "c", "b"]);
    const ages = [...found.values()];
    for (const [index, age] of [1510, 510, 10].entries()) {
      expect(ages[index]).toBeGreaterThanOrEqual(age - 0.01);
      expect(ages[index]).toBeLessThan(age + 60);
    }
  });

  test("no more than asked for is loaded: the newest, and the rest is found", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    for (const name of ["a", "b", "c", "d"]) {
      await db.revoke({ ids: [name], stamps: [`["h","${name}"]`] });
      await suite.store.passes(1);
    }
    const { ids: found, stamps: stamped, complete } = await db.load(2);
    expect([[...found.keys()], [...stamped.keys()], complete]).toEqual([
      ["c", "d"],
      ['["h","c"]', '["h","d"]'],
      false,
    ]);
    expect(await db.lookUp({ ids: ["a", "x"], stamps: ['["h","b"]', '["h","x"]'] })).toEqual({
      ids: ["a"],
      stamps: ['["h","b"]'],
    });
    expect((await db.load(4)).complete).toBe(true);
  });

  test("nothing is dropped by age", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    await db.revoke({ ids: ["a"], stamps: ['["h","v"]'] });
    await suite.store.passes(400 * 86_400);
    await db.checkpoint({ ids: new Map([["a", 400 * 86_400]]), clock: 1 });
    const { ids: found, stamps: stamped } = await (await suite.reopened(db, place)).load(MANY);
    expect([found.size, stamped.size]).toEqual([1, 1]);
  });

  test("with a time to live, it is", async () => {
    const place = suite.place();
    const db = await suite.open(place, { ttlSeconds: 3600 });
    await db.revoke({ ids: ["a"], stamps: ['["h","v"]'] });
    await suite.store.passes(3000);
    await db.revoke(ids("b"));
    await suite.store.passes(1000);
    await db.checkpoint({ ids: null, clock: 1 });
    const again = await suite.reopened(db, place, { ttlSeconds: 3600 });
    const { ids: found, stamps: stamped } = await again.load(MANY);
    expect([[...found.keys()], stamped.size]).toEqual([["b"], 0]);
    expect((await again.lookUp(ids("a", "b"))).ids).toEqual(["b"]);
  });

  test("the clock is kept, and never goes back", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    expect(await db.checkpoint({ ids: null, clock: 41 })).toBe("done");
    expect(await db.checkpoint({ ids: new Map([["a", 1]]), clock: 12 })).toBe("done");
    const again = await suite.reopened(db, place);
    expect((await again.load(MANY)).clock).toBe(41);
  });

  test("ten thousand at once, and twice", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    const many = Array.from({ length: 10_000 }, (_, index) => `id-${index}`);
    await db.revoke({ ids: many, stamps: ['["h","v"]'] });
    await db.revoke(ids(...many));
    await db.checkpoint({ ids: new Map(many.map((id) => [id, 0])), clock: 1 });
    const again = await suite.reopened(db, place);
    const { ids: found, stamps: stamped } = await again.load(MANY);
    expect([found.size, stamped.size]).toEqual([10_000, 1]);
    expect((await again.lookUp(ids(...many))).ids.length).toBe(10_000);
  });

  test("an operator sees it, and takes out what is old", async () => {
    const place = suite.place();
    const db = await suite.open(place);
    await db.revoke({ ids: ["a", "b"], stamps: ['["h","v"]'] });
    await db.checkpoint({ ids: new Map([["a", 0]]), clock: 7 });
    await suite.store.passes(3600);
    await db.revoke(ids("c"));
    await db.stop();
    const operator = await suite.create(place, { node: null });
    const { nodes } = await operator.overview();
    expect(nodes).toHaveLength(1);
    expect(nodes[0]).toMatchObject({ ids: 3, stamps: 1, clock: 7, alive: false });
    const shown = await operator.show(nodes[0]?.node ?? null, 2);
    expect([...shown.ids.keys()][0]).toBe("c");
    expect(shown.ids.size).toBe(2);
    expect(await operator.purge({ olderThanSeconds: 7200, node: null })).toBe(0);
    expect(await operator.purge({ olderThanSeconds: 1800, node: null })).toBe(3);
    expect(await operator.purge({ olderThanSeconds: 1800, node: null })).toBe(0);
    await operator.stop();
    const again = await suite.open(place);
    const { ids: found, stamps: stamped, clock } = await again.load(MANY);
    expect([[...found.keys()], stamped.size, clock]).toEqual([["c"], 0, 7]);
  });

  test("after its end nothing is accepted", async () => {
    const db = await suite.open(suite.place());
    await db.stop();
    await db.stop();
    await expect(db.revoke(ids("a"))).rejects.toMatchObject({ code: "PET_CLOSED" });
  });
}
