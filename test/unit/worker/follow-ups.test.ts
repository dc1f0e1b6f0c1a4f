import fc from "fast-check";
import { expect, test } from "vitest";
import { derivedId } from "../../../src/base/derived-id.ts";
import { seed } from "../../support/seed.ts";

test("a derived id is a UUID of version 5 that follows from the task and the purpose alone", () => {
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  fc.assert(
    fc.property(fc.string(), fc.string(), (id, purpose) => {
      expect(derivedId(id, purpose)).toMatch(uuid);
      expect(derivedId(id, purpose)).toBe(derivedId(id, purpose));
    }),
    { seed },
  );
});

test("different tasks and purposes have different ids", () => {
  const ids = ["a", "b"].flatMap((id) =>
    ["callback:0", "callback:1", "errback:0", "chain"].map((one) => derivedId(id, one)),
  );
  expect(new Set(ids).size).toBe(ids.length);
});
