import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Linked, LinkedSet } from "../../../src/base/linked-set.ts";
import { seed } from "../../support/seed.ts";

class Member extends Linked {
  readonly name: number;
  constructor(name: number) {
    super();
    this.name = name;
  }
}

describe("a linked set", () => {
  test("is a Set to whoever looks at it", () => {
    const step = fc.record({ kind: fc.constantFrom("add", "delete", "clear"), name: fc.nat(6) });
    const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const members = Array.from({ length: 7 }, (_, name) => new Member(name));
      const ours = new LinkedSet<Member>();
      const model = new Set<Member>();
      for (const { kind, name } of steps) {
        const member = members[name] as Member;
        const done = [ours, model].map((set) => {
          if (kind === "delete") return set.delete(member);
          if (kind === "add") set.add(member);
          else if (name === 0) set.clear();
          return null;
        });
        expect(done[0]).toBe(done[1]);
        expect(ours.size).toBe(model.size);
        expect(ours.has(member)).toBe(model.has(member));
        expect([...ours].map((one) => one.name)).toEqual([...model].map((one) => one.name));
      }
    });
    fc.assert(property, { seed });
  });

  test("members may be taken out while it is gone through", () => {
    const members = [0, 1, 2].map((name) => new Member(name));
    const set = new LinkedSet<Member>();
    for (const member of members) set.add(member);
    const seen: number[] = [];
    for (const { name } of set) {
      seen.push(name);
      set.clear();
    }
    expect([seen, set.size]).toEqual([[0, 1, 2], 0]);
  });

  test("what was taken out holds on to nothing", () => {
    const [a, b, c] = [new Member(0), new Member(1), new Member(2)];
    const set = new LinkedSet<Member>();
    for (const member of [a, b, c]) set.add(member);
    set.delete(b);
    expect([b.before, b.after, b.within]).toEqual([null, null, null]);
    expect(a.after).toBe(c);
  });

  test("a member is in one set", () => {
    const member = new Member(0);
    const one = new LinkedSet<Member>();
    const other = new LinkedSet<Member>();
    one.add(member);
    expect(() => other.add(member)).toThrow("another set");
    expect(other.delete(member)).toBe(false);
    one.delete(member);
    other.add(member);
    expect([...other]).toEqual([member]);
  });
});
