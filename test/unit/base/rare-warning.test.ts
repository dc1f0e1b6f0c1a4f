/** Warnings that others can provoke. */
import { expect, test } from "vitest";
import { RareWarning } from "../../../src/base/rare-warning.ts";
import { VirtualClock } from "../../support/virtual-clock.ts";
import { NotingLogger } from "../worker/support.ts";

test("one is said, the rest of its minute is counted, and a quiet minute ends it", () => {
  const clock = new VirtualClock();
  const logger = new NotingLogger();
  const rare = new RareWarning({ clock, logger, message: "nonsense" });
  const fields = (): readonly unknown[] => logger.lines.map((line) => line.fields);
  for (let i = 0; i < 5; i += 1) rare.say({ i });
  expect(fields()).toEqual([{ i: 0 }]);
  clock.advance(60_000);
  expect(fields()).toEqual([{ i: 0 }, { suppressed: 4 }]);
  rare.say({ i: 5 });
  expect(fields()).toHaveLength(2);
  clock.advance(60_000);
  expect(fields()[2]).toEqual({ suppressed: 1 });
  clock.advance(60_000);
  rare.say({ i: 6 });
  expect(fields()[3]).toEqual({ i: 6 });
  rare.say({ i: 7 });
  rare.stop();
  expect(fields()[4]).toEqual({ suppressed: 1 });
  clock.advance(120_000);
  expect(fields()).toHaveLength(5);
});
