/** `petiole explain`, `shell` and `graph`. */
import { randomUUID } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentLogger } from "../../../src/base/logger.ts";
import { toDot } from "../../../src/cli/dot.ts";
import { REMEDIES } from "../../../src/cli/remedies.ts";
import { wrapped } from "../../../src/cli/wrap.ts";
import { ERROR_CODES } from "../../../src/errors.ts";
import { Celery } from "../../../src/index.ts";
import { Worker } from "../../../src/worker/index.ts";
import { ran } from "./stand-in.ts";

const VARIABLES = ["CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"] as const;
const before = new Map<string, string | undefined>();
let url = "";

beforeEach(() => {
  url = `memory://${randomUUID()}`;
  for (const name of VARIABLES) before.set(name, process.env[name]);
});
afterEach(() => {
  for (const [name, value] of before) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
});

describe("explain", () => {
  test.each([["PET_TIMEOUT"], ["pet_timeout"], ["timeout"], ["petiole result: not ready. [PET_TIMEOUT]"]])(
    "%j has the meaning and the remedy, 80 columns wide",
    async (word) => {
      const { code, out } = await ran(["explain", word]);
      expect(code).toBe(0);
      expect(out).toMatch(/^PET_TIMEOUT \(exit code 69\)\n/);
      const plain = out.replaceAll(/\s+/g, " ");
      expect(plain).toContain(ERROR_CODES.PET_TIMEOUT);
      expect(plain).toContain(`To do: ${REMEDIES.PET_TIMEOUT}`);
      for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    },
  );

  test("every code without words, several with", async () => {
    const { out } = await ran(["explain"]);
    for (const code of Object.keys(ERROR_CODES)) expect(out).toContain(`${code} (`);
    const two = await ran(["explain", "PET_USAGE", "PET_RETRY"]);
    expect(two.out.match(/^PET_\w+/gm)).toEqual(["PET_USAGE", "PET_RETRY"]);
  });

  test("a near miss is suggested", async () => {
    const { code, err } = await ran(["explain", "PET_TIMOUT"]);
    expect([code, err]).toEqual([64, expect.stringContaining('"PET_TIMOUT", did you mean "PET_TIMEOUT"?')]);
    expect((await ran(["explain", "xyzzy"])).err).toContain("petiole explain lists all");
  });
});

describe("shell --eval", () => {
  const evaluated = async (code: string): Promise<string> => {
    const { out, err } = await ran(["-b", url, "shell", "--eval", code]);
    expect(err).toBe("");
    return out;
  };

  test("has the app, its tasks and the exports; await may be used", async () => {
    expect(await evaluated("app.name")).toBe("petiole\n");
    expect(await evaluated("await Promise.resolve({ a: [1] })")).toBe("{ a: [ 1 ] }\n");
    expect(await evaluated("tasks['no.such']")).toBe("");
    expect(await evaluated("typeof kw + typeof petiole.Celery + typeof control.ping")).toBe(
      "functionfunctionfunction\n",
    );
    expect(await evaluated("const a = 2; const b = await 3; return a * b;")).toBe("6\n");
    expect(await evaluated("undefined")).toBe("");
  });

  test("a task that is sent is on its queue", async () => {
    expect(await evaluated("(await app.sendTask('t', [1])).id")).toMatch(/^[\da-f-]{36}\n$/);
    expect((await ran(["-b", url, "purge", "-f"])).out).toContain("Purged 1 message");
  });

  test("mistakes", async () => {
    const syntax = await ran(["-b", url, "shell", "-e", "1 +"]);
    expect([syntax.code, syntax.err]).toEqual([64, expect.stringMatching(/option --eval: SyntaxError/)]);
    const thrown = await ran(["-b", url, "shell", "-e", "nothing.here"]);
    expect([thrown.code, thrown.err]).toEqual([1, expect.stringContaining("nothing is not defined")]);
    const json = await ran(["-b", url, "shell", "--json"]);
    expect([json.code, json.err]).toEqual([64, expect.stringContaining("--eval")]);
  });
});

describe("graph", () => {
  test("names of strangers stay inside their quotes", () => {
    const text = toDot({
      nodes: [{ id: 'a"];x[', label: "two\nlines\\ \u001b[31m", kind: "queue" }],
      edges: [{ from: 'a"];x[', to: "b", label: '"' }],
    });
    expect(text).toContain(String.raw`"a\"];x[" [label="two\nlines\\  [31m", shape=cds`);
    expect(text).toContain(String.raw`"a\"];x[" -> "b" [label="\""];`);
  });

  test("workers, with queues and slots; nobody there is said", async () => {
    const none = await ran(["-b", url, "graph", "workers", "-t", "0.05"]);
    expect([none.code, none.err]).toEqual([69, expect.stringContaining("[PET_NO_REPLY]")]);
    const app = new Celery("g", { brokerUrl: url, logger: silentLogger });
    const worker = new Worker(app, { hostname: "w@h", concurrency: 3, withoutMingle: true });
    await worker.start();
    try {
      const { code, out } = await ran(["-b", url, "graph", "workers", "-t", "20", "-d", "w@h"]);
      expect(code).toBe(0);
      expect(out).toMatch(/^digraph petiole \{\n[\s\S]*\}\n$/);
      expect(out).toContain(String.raw`"worker:w@h" [label="w@h\n3 slots", shape=box`);
      expect(out).toContain('"queue:celery" -> "worker:w@h";');
      expect(out).toContain(`"broker:${url}" -> "queue:celery";`);
    } finally {
      await worker.stop({ how: "cold" });
    }
  });

  test("bootsteps are those of --print-steps", async () => {
    const { out } = await ran(["-b", url, "graph", "bootsteps"]);
    expect(out).toMatch(/"step:[\w-]+" -> "step:[\w-]+";/);
    expect(out).toContain('"step:pool"');
  });
});

test("text is broken between words, and a long word is left whole", () => {
  expect(wrapped("aa bb cccccccc d", { width: 7, indent: 2 })).toBe("  aa bb\n  cccccccc\n  d");
});
