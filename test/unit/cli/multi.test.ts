import { hostname } from "node:os";
import { describe, expect, test } from "vitest";
import { nodesOf } from "../../../src/cli/multi/nodes.ts";
import { readWords } from "../../../src/cli/multi/words.ts";
import { thrownBy } from "../../support/thrown-by.ts";

const FILES = ["--pidfile=/p/%n.pid", "--logfile=/l/%n%I.log"] as const;
/** What each node is started with, without what all have. */
const started = (...words: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    nodesOf(readWords([...words, ...FILES])).map((node) => [
      node.name,
      node.words
        .filter(
          (word) => !/^(worker|--detach|-n|--pidfile=.*|--logfile=.*)$/.test(word) && word !== node.name,
        )
        .join(" "),
    ]),
  );
const here = hostname();

describe("the nodes of petiole multi, as celery multi's documents have them", () => {
  test.each([
    ["one by name", ["Leslie", "-E"], { [`Leslie@${here}`]: "-E" }],
    ["a number of them", ["2", "-c", "3"], { [`celery1@${here}`]: "-c 3", [`celery2@${here}`]: "-c 3" }],
    ["with a prefix", ["1", "--range-prefix=worker"], { [`worker1@${here}`]: "" }],
    ["with a host", ["2", "--hostname=h.example"], { "celery1@h.example": "", "celery2@h.example": "" }],
    ["with whole names", ["foo@a.example", "bar@%h"], { "foo@a.example": "", [`bar@${here}`]: "" }],
    ["with prefix and suffix", ["a", "--prefix", "p-", "--suffix=s"], { "p-a@s": "" }],
    [
      "an option of one",
      ["3", "--suffix=h", "-c", "3", "-c:1", "10"],
      { "celery1@h": "-c 10", "celery2@h": "-c 3", "celery3@h": "-c 3" },
    ],
    [
      "an option of a range",
      ["4", "--suffix=h", "-c:1-3", "10"],
      { "celery1@h": "-c 10", "celery2@h": "-c 10", "celery3@h": "-c 10", "celery4@h": "" },
    ],
    [
      "an option of a list",
      ["a", "b", "c", "--suffix=h", "-Q:a,c", "x", "-Q:b=y"],
      { "a@h": "-Q x", "b@h": "-Q y", "c@h": "-Q x" },
    ],
    [
      "a long one, by place",
      ["a", "b", "--suffix=h", "--concurrency:2=7"],
      { "a@h": "", "b@h": "--concurrency=7" },
    ],
    ["by the whole name", ["a@h", "b@h", "-c:a@h", "2"], { "a@h": "-c 2", "b@h": "" }],
    [
      "global ones before the command",
      ["a@h", "-A", "app.ts", "-l", "INFO", "-b:1", "redis://x"],
      { "a@h": "-A app.ts -b redis://x -l INFO" },
    ],
    ["names in values", ["a@h", "-Q", "q.%n"], { "a@h": "-Q q.a" }],
  ] as const)("%s", (_name, words, expected) => {
    expect(started(...words)).toEqual(expected);
  });

  test("settings behind -- stay there", () => {
    const [node] = nodesOf(readWords(["a@h", ...FILES, "--", "worker.prefetch_multiplier=2"]));
    expect(node?.words.slice(-2)).toEqual(["--", "worker.prefetch_multiplier=2"]);
  });

  test("the files are each node's own; the worker expands %I itself", () => {
    const [one] = nodesOf(readWords(["a@h", ...FILES]));
    expect([one?.pidfile, one?.logfile]).toEqual(["/p/a.pid", "/l/a.log"]);
    const [usual] = nodesOf(readWords(["a@h"]));
    expect([usual?.pidfile, usual?.logfile]).toEqual(["/var/run/petiole/a.pid", "/var/log/petiole/a.log"]);
    const [moved] = nodesOf(readWords(["a@h", "--workdir", "/srv", "--pidfile", "%n.pid", "-f", "x.log"]));
    expect([moved?.pidfile, moved?.logfile]).toEqual(["/srv/a.pid", "/srv/x.log"]);
    expect(moved?.words).toEqual([
      "--workdir=/srv",
      "worker",
      "--detach",
      "-n",
      "a@h",
      "--pidfile=a.pid",
      "--logfile=x.log",
    ]);
  });

  test.each([
    ["-9", "SIGKILL"],
    ["-KILL", "SIGKILL"],
    ["-SIGQUIT", "SIGQUIT"],
  ])("%s is a signal", (word, signal) => {
    expect(readWords(["2", word, ...FILES])).toMatchObject({ names: ["2"], signal });
  });

  test.each([
    [[], "no node is named"],
    [["0"], "no node is named"],
    [["a", "a"], "two nodes a@"],
    [["2", "-c:3", "1"], ":3 names no node"],
    [["a", "-c:b", "1"], ":b names no node"],
    [["a", "--consurrency=2"], "no option --consurrency"],
    [["a", "-c"], "needs a value"],
  ])("%j is refused", (words, message) => {
    expect(thrownBy(() => nodesOf(readWords(words)))).toMatchObject({
      code: "PET_USAGE",
      message: expect.stringContaining(message),
    });
  });
});
