import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { flagsOf } from "../../../src/cli/option-types.ts";
import { COMMANDS } from "../../../src/cli/options.ts";
import { GLOBAL_OPTIONS } from "../../../src/cli/specs/global.ts";
import { ran } from "./stand-in.ts";

const VARIABLES = ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"] as const;
const before = new Map<string, string | undefined>();

// The program lays its URLs over the process's environment, as Celery does.
beforeEach(() => {
  for (const name of VARIABLES) before.set(name, process.env[name]);
});
afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

/** A broker of its own for each test. */
let last = 0;
function brokerUrl(): string {
  last += 1;
  return `memory://cli-${last}`;
}

describe("the words of a command line", () => {
  test("no command: the help, on stderr, as a mistake", async () => {
    const { code, out, err } = await ran([]);
    expect(code).toBe(64);
    expect(out).toBe("");
    expect(err).toContain("Usage: petiole");
  });

  test.each([["--help"], ["-h"], ["help"]])("%s lists every command and exits with 0", async (word) => {
    const { code, out, err } = await ran([word]);
    expect(code).toBe(0);
    expect(err).toBe("");
    for (const { name } of COMMANDS) expect(out).toContain(`  ${name}`);
    expect(out).toContain("Examples:");
  });

  test("a command's help has its options by group, the global ones, and examples", async () => {
    const { code, out } = await ran(["worker", "--help"]);
    expect(code).toBe(0);
    for (const text of ["Worker:", "Pool:", "Steps:", "Logs:", "Global Options:", "Examples:", "%h"]) {
      expect(out).toContain(text);
    }
    for (const spec of [...GLOBAL_OPTIONS, ...(COMMANDS[0]?.options ?? [])]) {
      expect(out).toContain(flagsOf(spec).long);
    }
  });

  test("--version is the package's", async () => {
    const { code, out } = await ran(["--version"]);
    expect(code).toBe(0);
    expect(out).toMatch(/^petiole \d+\.\d+\.\d+\n$/);
  });

  test.each([
    [["wroker"], 'there is no command "wroker", did you mean "worker"?'],
    [["worker", "--concurency", "3"], 'there is no option --concurency, did you mean "--concurrency"?'],
    [["worker", "--conccurrency=3"], 'did you mean "--concurrency"?'],
    [["--brocker", "x", "purge"], 'there is no option --brocker, did you mean "--broker"?'],
    [["worker", "-k", "{}"], "there is no option -k; petiole call and schedule have it."],
    [["worker", "-Z"], "there is no option -Z. petiole worker --help"],
    [["worker", "--pidfyle", "w.pid"], "there is no option --pidfyle"],
    [["worker", "--autoscale", "few,1"], 'option --autoscale <max,min>: "few,1" is not two whole numbers'],
    [["worker", "-P", "fork"], '"fork" is not one of async, prefork, threads, solo'],
    [["worker", "-c", "few"], 'option -c, --concurrency <n>: "few" is not a whole number'],
    [["worker", "-c"], "needs a value"],
    [["call"], "the argument <name> is missing"],
    [["call", "a", "b"], "more arguments than the command takes"],
    [["call", "a", "-a", "{"], '"{" is not JSON'],
    [["worker", "-l", "LOUD"], '"LOUD" is not one of DEBUG'],
    [["complete", "tcsh"], "bash, zsh, fish"],
    [["worker"], "no app is given"],
  ])("%j is refused in one paragraph with exit code 64", async (words, wanted) => {
    const { code, out, err } = await ran(words);
    expect(code).toBe(64);
    expect(out).toBe("");
    expect(err).toContain(wanted);
    expect(err).toMatch(/^petiole.* \[PET_[A-Z_]+\]\n$/);
  });

  test("no two options of a command share a flag, nor one with a global option", () => {
    for (const command of COMMANDS) {
      const flags = [...GLOBAL_OPTIONS, ...command.options].flatMap((spec) => flagsOf(spec).names);
      expect(new Set([...flags, "--help", "-h", "--version"]).size).toBe(flags.length + 3);
    }
  });
});

test("help and errors are 80 columns wide, an error only on a terminal", async () => {
  for (const words of [["--help"], ...COMMANDS.map(({ name }) => [name, "--help"])]) {
    const { out } = await ran(words);
    const wide = out.split("\n").filter((line) => line.length > 80 && !line.startsWith("  petiole "));
    expect(wide).toEqual([]);
  }
  const words = ["call"];
  const plain = (await ran(words)).err;
  const shown = (await ran(words, { columns: 40 })).err;
  expect(plain.trimEnd()).not.toContain("\n");
  expect(shown.replaceAll("\n", " ")).toBe(plain.replaceAll("\n", " "));
  for (const line of shown.split("\n")) expect(line.length).toBeLessThanOrEqual(40);
});

test("a name that is nearly a task of the app is told of, and sent all the same", async () => {
  const url = brokerUrl();
  const { code, out, err } = await ran(["-A", "near-miss-app.ts", "-b", url, "call", "shop.ad", "-a", "[1]"]);
  expect([code, out]).toEqual([0, expect.stringMatching(/^[\da-f-]{36}\n$/)]);
  expect(err).toBe(
    'petiole call: the app has no task "shop.ad", did you mean "shop.add"? It is sent as it is.\n',
  );
  for (const [app, ...words] of [
    ["second", "call", "shop.add"],
    ["third", "call", "other.name"],
    ["fourth", "-q", "call", "shop.ad"],
  ]) {
    expect((await ran(["-A", `near-miss-app.ts:${app}`, "-b", url, ...words])).err).toBe("");
  }
});

describe("call and purge", () => {
  test("the same call with the global options in front of the command and behind it", async () => {
    const url = brokerUrl();
    for (const words of [
      ["-b", url, "call", "t.a", "-a", "[1]"],
      ["call", "t.a", "-a", "[1]", "-b", url],
      ["call", "-k", '{"x": 1}', `--broker=${url}`, "t.a", "--countdown", "0"],
    ]) {
      const { code, out, err } = await ran(words);
      expect(err).toBe("");
      expect(code).toBe(0);
      expect(out).toMatch(/^[\da-f]{8}-[\da-f-]{27}\n$/);
    }
    const { out, code } = await ran(["-b", url, "purge", "-f"]);
    expect(out).toBe("Purged 3 messages from 1 known task queue.\n");
    expect(code).toBe(0);
  });

  test("the broker may come from the environment, and -b wins", async () => {
    const [url, other] = [brokerUrl(), brokerUrl()];
    await ran(["call", "t"], { env: { BROKER_URL: url } });
    await ran(["call", "t", "-b", other], { env: { BROKER_URL: url } });
    expect((await ran(["purge", "-f", "-b", url])).out).toContain("Purged 1 message from");
    expect((await ran(["purge", "-f", "-b", other])).out).toContain("Purged 1 message from");
  });

  test("-Q takes the queues to purge, -X leaves some out", async () => {
    const url = brokerUrl();
    for (const queue of ["a", "b", "b"]) await ran(["-b", url, "call", "t", "--queue", queue]);
    expect((await ran(["-b", url, "purge", "-f", "-Q", "a,b", "-X", "a"])).out).toBe(
      "Purged 2 messages from 1 known task queue.\n",
    );
    expect((await ran(["-b", url, "purge", "-f", "-Q", "a,b"])).out).toBe(
      "Purged 1 message from 2 known task queues.\n",
    );
    expect((await ran(["-b", url, "purge", "-f", "-Q", "a,b"])).out).toBe(
      "No messages purged from 2 known task queues.\n",
    );
  });

  test.each([
    ["y", 0],
    ["YES", 0],
    ["n", 1],
    ["", 1],
  ])("purge asks, naming the queues: %j", async (answer, wanted) => {
    const url = brokerUrl();
    await ran(["-b", url, "call", "t", "--queue", "mail"]);
    const { code, asked, out } = await ran(["-b", url, "purge", "-Q", "mail"], { answers: [answer] });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toContain("mail");
    expect(code).toBe(wanted);
    expect(out === "").toBe(wanted === 1);
  });

  test("purge deletes nothing when nobody can answer", async () => {
    const url = brokerUrl();
    await ran(["-b", url, "call", "t"]);
    expect((await ran(["-b", url, "purge"])).code).toBe(1);
    expect((await ran(["-b", url, "purge", "-f"])).out).toContain("Purged 1 message");
  });

  test("purge of queues that are all excluded is refused", async () => {
    const { code, err } = await ran(["-b", brokerUrl(), "purge", "-f", "-Q", "a", "-X", "a"]);
    expect(code).toBe(1);
    expect(err).toMatch(/queue.* \[PET_CONFIG_INVALID\]\n$/);
  });

  test("a --workdir that is not there is refused before anything is sent", async () => {
    const { code, err } = await ran(["-b", brokerUrl(), "call", "t", "--workdir", "no/such/folder"]);
    expect(code).toBe(64);
    expect(err).toContain("no/such/folder");
  });

  test("an app that cannot be found names the variable it came from", async () => {
    const { code, err } = await ran(["call", "t"], { env: { APP: "no-such-module" } });
    expect(code).not.toBe(0);
    expect(err).toContain("environment variable APP");
  });
});

describe("complete", () => {
  test.each(["bash", "zsh", "fish"])("%s: a script with every command and option", async (shell) => {
    const { code, out } = await ran(["complete", shell]);
    expect(code).toBe(0);
    for (const command of COMMANDS) {
      expect(out).toContain(command.name);
      for (const spec of command.options) expect(out).toContain(flagsOf(spec).long.replace("--", ""));
    }
  });
});
