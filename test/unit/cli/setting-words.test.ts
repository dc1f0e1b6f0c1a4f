import { describe, expect, test } from "vitest";
import { settingsOf } from "../../../src/cli/setting-words.ts";

describe("settings as words", () => {
  test.each([
    ["worker.prefetch_multiplier=2", { worker_prefetch_multiplier: 2 }],
    ["worker_prefetch_multiplier=2", { worker_prefetch_multiplier: 2 }],
    [".prefetch_multiplier=2", { worker_prefetch_multiplier: 2 }],
    ["TASK.ACKS_LATE=yes", { task_acks_late: true }],
    ["broker_url=redis://h/0?a=b", { broker_url: "redis://h/0?a=b" }],
    ["result.expires=1h", { result_expires: 3600 }],
  ])("%s", (word, wanted) => {
    expect(settingsOf([word])).toEqual(wanted);
  });

  test("a name that is no setting is left for the app to refuse", () => {
    expect(settingsOf(["worker.speed=3"])).toEqual({ worker_speed: "3" });
  });

  test("a value of a wrong kind names the word", () => {
    expect(() => settingsOf(["worker.prefetch_multiplier=many"])).toThrow(
      /worker\.prefetch_multiplier.*many/,
    );
  });

  test.each(["fast", "=3", "a b=3", ""])("%j is refused", (word) => {
    expect(() => settingsOf([word])).toThrow(/PET_USAGE|no setting/);
  });
});
