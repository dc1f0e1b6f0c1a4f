import { expect, test } from "vitest";
import { uuid4 } from "../../../src/base/uuid.ts";

test("an id is a UUID of version 4, and none comes twice", () => {
  const ids = Array.from({ length: 10_000 }, () => uuid4());
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/u;
  expect(ids.filter((id) => !form.test(id))).toEqual([]);
  expect(new Set(ids).size).toBe(ids.length);
});

test("every digit that may vary does", () => {
  const ids = Array.from({ length: 2000 }, () => uuid4());
  for (let at = 0; at < 36; at += 1) {
    const seen = new Set(ids.map((id) => id[at]));
    const fixed = [8, 13, 18, 23, 14].includes(at) ? 1 : at === 19 ? 4 : 16;
    expect({ at, seen: seen.size }).toEqual({ at, seen: fixed });
  }
});
