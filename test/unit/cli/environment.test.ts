import { describe, expect, test } from "vitest";
import { readEnvironment } from "../../../src/app/env.ts";
import { fromEnvironment, variablesOf } from "../../../src/cli/environment.ts";
import { flagsOf, type OptionSpec } from "../../../src/cli/option-types.ts";
import { COMMANDS } from "../../../src/cli/options.ts";
import { GLOBAL_OPTIONS } from "../../../src/cli/specs/global.ts";

function option(command: string | null, long: string): OptionSpec {
  const specs =
    command === null ? GLOBAL_OPTIONS : (COMMANDS.find((spec) => spec.name === command)?.options ?? []);
  const found = specs.find((spec) => flagsOf(spec).names.includes(long));
  if (!found) throw new Error(`no option ${long}`);
  return found;
}

describe("options from the environment", () => {
  test.each([
    [null, "--app", ["APP", "CELERY_APP"]],
    [null, "--broker", ["BROKER_URL", "CELERY_BROKER"]],
    [null, "--result-backend", ["RESULT_BACKEND", "CELERY_RESULT_BACKEND"]],
    [null, "--no-color", ["NO_COLOR", "CELERY_NO_COLOR"]],
    ["worker", "--concurrency", ["CELERY_WORKER_CONCURRENCY"]],
    ["worker", "--without-gossip", ["CELERY_WORKER_WITHOUT_GOSSIP"]],
    ["worker", "--purge", ["CELERY_WORKER_PURGE"]],
    ["call", "--routing-key", ["CELERY_CALL_ROUTING_KEY"]],
  ])("%s %s is read from %j", (command, long, wanted) => {
    expect(variablesOf(option(command, long), command)).toEqual(wanted);
  });

  test("Celery's short name comes before the prefixed one", () => {
    const app = option(null, "--app");
    expect(fromEnvironment(app, null, { APP: "a", CELERY_APP: "b" })).toEqual({
      value: "a",
      variable: "APP",
    });
    expect(fromEnvironment(app, null, { CELERY_APP: "b" })).toEqual({ value: "b", variable: "CELERY_APP" });
  });

  test("an empty variable is one that is not set", () => {
    expect(fromEnvironment(option(null, "--app"), null, { APP: "", CELERY_APP: "b" })?.value).toBe("b");
    expect(fromEnvironment(option(null, "--app"), null, { APP: "" })).toBeNull();
  });

  test("values are read like those of the command line", () => {
    const env = {
      CELERY_WORKER_CONCURRENCY: "4",
      CELERY_WORKER_QUEUES: "a,b",
      CELERY_WORKER_WITHOUT_MINGLE: "no",
    };
    expect(fromEnvironment(option("worker", "--concurrency"), "worker", env)?.value).toBe(4);
    expect(fromEnvironment(option("worker", "--queues"), "worker", env)?.value).toEqual(["a", "b"]);
    expect(fromEnvironment(option("worker", "--without-mingle"), "worker", env)?.value).toBe(false);
  });

  test("NO_COLOR means no colour whatever it says", () => {
    expect(fromEnvironment(option(null, "--no-color"), null, { NO_COLOR: "0" })?.value).toBe(true);
  });

  test("a value that cannot be read names its variable", () => {
    expect(() =>
      fromEnvironment(option("worker", "--concurrency"), "worker", { CELERY_WORKER_CONCURRENCY: "lots" }),
    ).toThrow(/CELERY_WORKER_CONCURRENCY.*"lots" is not a whole number/);
  });
});

test("no variable of an option is an unknown setting to configFromEnv", () => {
  const variables = [
    ...GLOBAL_OPTIONS.flatMap((spec) => variablesOf(spec, null)),
    ...COMMANDS.flatMap(({ name, options }) => options.flatMap((spec) => variablesOf(spec, name))),
  ].filter((name) => name.startsWith("CELERY_"));
  expect(variables.length).toBeGreaterThan(30);
  // Where the variable is a setting as well, the text has to be one of its values.
  const text = (name: string): string =>
    /CONCURRENCY|MULTIPLIER|PER_CHILD/.test(name) ? "4" : /TIMEOUT|LIMIT|EXPIRES/.test(name) ? "30" : "async";
  const env = Object.fromEntries(variables.map((name) => [name, text(name)]));
  expect(readEnvironment(env, "CELERY").unknown).toEqual([]);
  expect(readEnvironment({ CELERY_WORKER_QUEUE: "x" }, "CELERY").unknown).toHaveLength(1);
});
