import { describe, expect, test } from "vitest";
import { explain } from "../../../src/cli/explain.ts";
import {
  BackendError,
  ERROR_CODES,
  OperationalError,
  PetioleError,
  type PetioleErrorCode,
} from "../../../src/errors.ts";

describe("errors as a paragraph", () => {
  test("says where, what, what to do next, and the code", () => {
    const { text, exitCode } = explain(
      new OperationalError("broker redis://h:1/0 does not answer"),
      "petiole call",
    );
    expect(text).toMatch(
      /^petiole call: broker redis:\/\/h:1\/0 does not answer\. Check that .* \[PET_BROKER_UNREACHABLE\]$/,
    );
    expect(exitCode).toBe(69);
  });

  test.each([
    [new PetioleError("PET_USAGE", "x"), 64],
    [new PetioleError("PET_APP_NOT_FOUND", "x"), 64],
    [new BackendError("x"), 69],
    [new PetioleError("PET_TIMEOUT", "x"), 69],
    [new PetioleError("PET_REMOTE", "x"), 1],
    [new Error("x"), 1],
  ])("%s ends with its exit code", (error, wanted) => {
    expect(explain(error, "petiole").exitCode).toBe(wanted);
  });

  test("every code gives one paragraph that ends with it", () => {
    for (const code of Object.keys(ERROR_CODES) as PetioleErrorCode[]) {
      const { text } = explain(new PetioleError(code, "first line\n  second line"), "petiole");
      expect(text).not.toContain("\n");
      expect(text.endsWith(` [${code}]`)).toBe(true);
    }
  });

  test("a password in a URL is never shown, in ours and in others' errors", () => {
    const text = "connect redis://user:s3cret@host:6379/0 and rediss://:t0p@h";
    for (const error of [new PetioleError("PET_URL_INVALID", text), new Error(text)]) {
      const shown = explain(error, "petiole").text;
      expect(shown).not.toMatch(/s3cret|t0p/);
      expect(shown).toContain("user:***@host");
    }
  });

  test("a module that throws is named with the line that threw", () => {
    const cause = new Error("boom");
    cause.stack =
      "Error: boom\n    at node:internal/x:1:1\n    at file:///srv/shop/tasks.js:12:7\n    at async main";
    const error = new PetioleError("PET_MODULE_FAILED", "module tasks.js could not be loaded: Error: boom", {
      cause,
    });
    expect(explain(error, "petiole worker").text).toContain("Error: boom (at /srv/shop/tasks.js:12:7).");
  });

  test("an error that is not ours keeps its stack", () => {
    const { text } = explain(new RangeError("odd"), "petiole worker");
    expect(text).toMatch(/^petiole worker: unexpected error: RangeError: odd\n\s+at /);
    expect(text.endsWith("[PET_UNEXPECTED]")).toBe(true);
    expect(explain("thrown text", "petiole").text).toBe(
      "petiole: unexpected error: thrown text [PET_UNEXPECTED]",
    );
  });
});
